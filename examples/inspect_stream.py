"""Inspect files and folders with a saved model: python examples/inspect_stream.py MODEL FOLDER."""

import json
import sys
from pathlib import Path

from patchcore_dual import PatchCoreDual
from patchcore_dual.data.to_inspect import images_to_inspect
from patchcore_dual.errors import ImageError, PatchCoreDualError

try:
    detector = PatchCoreDual.load(sys.argv[1])
    images, left_out = images_to_inspect([Path(name) for name in sys.argv[2:]])
except PatchCoreDualError as error:
    sys.exit(f"error: {error}")
print(*left_out, sep="\n", end="\n" if left_out else "", file=sys.stderr)
broken = False
for result in detector.inspect_many(images, on_error="yield"):
    if isinstance(result, ImageError):
        broken = True
        print(f"error: {result}", file=sys.stderr)
    else:
        print(json.dumps(result.to_json()), flush=True)
sys.exit(2 if broken else 0)
