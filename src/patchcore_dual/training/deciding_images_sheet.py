"""The sheet on which a person sees the training images that decide the threshold."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.training.deciding_images import DecidingImages
from patchcore_dual.utils.pictures import end_of

SHEET_LIMIT = 60  # images on the sheet

_TILE, _GAP, _CAPTION, _HEADING, _COLUMNS = 240, 16, 40, 44, 4
_PAPER, _INK = "#f5f6f8", "#171b21"


def draw_deciding_images(manifest: Manifest, found: DecidingImages) -> NDArray[np.uint8]:
    """Each image with its name, its held-out score and why it is there.

    At most 60 images are drawn; if there are more, the heading says how many.

    Args:
        manifest: has the images.
        found: at least one image.

    Returns:
        uint8 `[h, w, 3]`, RGB.
    """
    reasons = found.reasons()
    samples = {s.image: s for s in manifest}
    shown = list(reasons)[:SHEET_LIMIT]
    heading = "Training images that decide the threshold"
    if len(shown) < len(reasons):
        heading = f"{heading}: the first {len(shown)} of {len(reasons)}"
    columns, rows = min(_COLUMNS, max(2, len(shown))), -(-len(shown) // _COLUMNS)
    step_x, step_y = _TILE + _GAP, _TILE + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * step_x + _GAP, _HEADING + rows * step_y), _PAPER)
    pen, small = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    pen.text((_GAP, 12), heading, _INK, ImageFont.load_default(18))
    for position, name in enumerate(shown):
        row, column = divmod(position, columns)
        x, y = _GAP + column * step_x, _HEADING + row * step_y
        one, reason = reasons[name]
        sheet.paste(Image.fromarray(_tile(manifest.read_image(samples[name]))), (x, y))
        pen.text(
            (x, y + _TILE + 3), end_of(samples[name].source or name, _TILE, small), _INK, small
        )
        pen.text((x, y + _TILE + 20), f"{one.score:.4g}: {reason}", _INK, small)
    return np.asarray(sheet)


def _tile(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At the size of a tile."""
    scale = _TILE / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)
