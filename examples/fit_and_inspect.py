"""Fit on a prepared folder, then inspect: python examples/fit_and_inspect.py PREPARED IMAGE."""

import sys

from PIL import Image

from patchcore_dual import PatchCoreDual

prepared, image = sys.argv[1:]
detector = PatchCoreDual().fit(prepared)
inspection = detector.inspect(image)
print(inspection)
Image.fromarray(inspection.draw()).save("inspection.png")
