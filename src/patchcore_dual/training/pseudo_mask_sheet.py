"""The sheet on which a person sees where defects without a mask were taken to lie."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.utils.pictures import end_of

SHEET_LIMIT = 200  # images on the sheet

_TILE, _GAP, _CAPTION, _HEADING, _COLUMNS = 200, 16, 22, 44, 3
_PAPER, _INK, _OUTLINE = "#f5f6f8", "#171b21", (232, 64, 64)
_SURROUNDINGS, _LEAST_SIDE = 2.5, 48  # of a close-up: times the defect's size, and pixels


def draw_pseudo_masks(
    manifest: Manifest, pseudo_masks: dict[str, NDArray[np.bool_]]
) -> NDArray[np.uint8]:
    """Each image with its proposed region outlined, whole and close up.

    At most 200 images are drawn; if there are more, the heading says how many.

    Args:
        manifest: has the images.
        pseudo_masks: bool `[H, W]`, by name of the image; at least one.

    Returns:
        uint8 `[h, w, 3]`, RGB.
    """
    samples = [s for s in manifest if s.image in pseudo_masks]
    shown = samples[:SHEET_LIMIT]
    heading = "Where defects without a mask were taken to lie"
    if len(shown) < len(samples):
        heading = f"{heading}: the first {len(shown)} of {len(samples)}"
    step_x, step_y = 2 * _TILE + 2 * _GAP, _TILE + _CAPTION + _GAP
    columns, rows = min(_COLUMNS, max(2, len(shown))), -(-len(shown) // _COLUMNS)
    sheet = Image.new("RGB", (columns * step_x + _GAP, _HEADING + rows * step_y), _PAPER)
    pen, small = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    pen.text((_GAP, 12), heading, _INK, ImageFont.load_default(18))
    for position, sample in enumerate(shown):
        row, column = divmod(position, _COLUMNS)
        x, y = _GAP + column * step_x, _HEADING + row * step_y
        image = manifest.read_image(sample)
        mask = pseudo_masks[sample.image]
        around = _surroundings(mask)
        for number, part in enumerate((np.s_[:, :], around)):
            tile = _outlined(image[part], mask[part])
            sheet.paste(Image.fromarray(tile), (x + number * (_TILE + 2), y))
        pen.text(
            (x, y + _TILE + 3), end_of(sample.source or sample.image, 2 * _TILE, small), _INK, small
        )
    return np.asarray(sheet)


def _surroundings(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """A square around the region, as far as the image reaches."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    side = max(round(_SURROUNDINGS * max(width, height)), _LEAST_SIDE)
    top = max(0, min(y + height // 2 - side // 2, mask.shape[0] - side))
    left = max(0, min(x + width // 2 - side // 2, mask.shape[1] - side))
    return np.s_[top : top + side, left : left + side]


def _outlined(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """At the size of a tile, with the outline drawn."""
    scale = _TILE / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile = cv2.resize(np.ascontiguousarray(image), size, interpolation=method)
    enlarged = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(tile, contours, -1, _OUTLINE, 2), dtype=np.uint8)
