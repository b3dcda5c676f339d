"""Masks of photographs that EXIF turns: painted on the upright picture, or on the stored one?"""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.orientation import turn

MaskTurn = Literal["none", "turned", "unsure", "doubtful"]
"""How a mask goes with its image: "none" where the image was not turned, or nothing is marked, or
only the upright picture has the mask's size; "turned" where only the stored one has, so that the
mask was turned with it; "unsure" where both have, and the upright one was taken; "doubtful" where,
then, what is marked stands out much better on the stored picture."""

_RING = 7  # width and height of the kernel that makes the surroundings of a defect
_CLEARER = 2.0  # this many times the contrast, and this many grey levels above it


def match_mask(
    mask: NDArray[np.bool_], image: NDArray[np.uint8], orientation: int
) -> tuple[NDArray[np.bool_], MaskTurn]:
    """Bring a mask onto an upright image.

    Args:
        mask: bool [h, w], as its file shows it.
        image: uint8 [H, W, 3], which EXIF has turned.
        orientation: how it was turned, 1 to 8.

    Returns:
        The mask, of another size than the image if neither picture has its size, and what was
        done.
    """
    if orientation == 1 or not mask.any():
        if orientation in (5, 6, 7, 8) and mask.shape == image.shape[1::-1]:
            mask = turn(mask, orientation)
        return mask, "none"
    turned = turn(mask, orientation)
    if mask.shape != image.shape[:2]:
        return (turned, "turned") if turned.shape == image.shape[:2] else (mask, "none")
    if turned.shape != mask.shape or np.array_equal(turned, mask):
        return mask, "none"
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
    as_it_is, otherwise = _contrast(grey, mask), _contrast(grey, turned)
    return mask, "doubtful" if otherwise > _CLEARER * (as_it_is + 1) else "unsure"


def _contrast(grey: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """How much the marked pixels differ from those around them, in grey levels."""
    near = cv2.dilate(mask.astype(np.uint8), np.ones((_RING, _RING), np.uint8)).astype(bool)
    ring = near & ~mask
    return abs(float(grey[mask].mean()) - float(grey[ring].mean())) if ring.any() else 0.0
