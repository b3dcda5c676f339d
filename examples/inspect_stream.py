"""Inspect a folder with a saved model: python examples/inspect_stream.py MODEL FOLDER."""

import json
import sys
from pathlib import Path

from patchcore_dual import PatchCoreDual

detector = PatchCoreDual.load(sys.argv[1])
for inspection in detector.inspect_many(sorted(Path(sys.argv[2]).glob("*.png"))):
    print(json.dumps(inspection.to_json()))
