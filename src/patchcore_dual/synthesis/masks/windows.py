"""Rectangular windows of an image, and masks that are moved into them."""

import cv2
import numpy as np

from patchcore_dual.synthesis.generator import TargetMask

Window = tuple[slice, slice]
"""Rows and columns of an image."""


def window_around(mask: np.ndarray, reach: int) -> Window:
    """The bounding box of a mask, grown by `reach` pixels within the image.

    >>> mask = np.zeros((20, 20), bool)
    >>> mask[5:8, 17] = True
    >>> window_around(mask, 3)
    (slice(2, 11, None), slice(14, 20, None))
    """
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return (
        slice(max(y - reach, 0), min(y + height + reach, mask.shape[0])),
        slice(max(x - reach, 0), min(x + width + reach, mask.shape[1])),
    )


def matrix_into_window(matrix: np.ndarray, window: Window) -> np.ndarray:
    """Express an affine map `[2, 3]` into an image in the coordinates of a window of the image."""
    return matrix - [[0, 0, window[1].start], [0, 0, window[0].start]]


def moved_mask(defect: np.ndarray, matrix: np.ndarray, window: Window) -> np.ndarray:
    """A mask after an affine motion, inside a window of the new image.

    Args:
        defect: bool `[H, W]`, the mask in its own image.
        matrix: float64 `[2, 3]`, maps pixels (x, y) of that image to pixels of the new one.
        window: rows and columns of the new image.

    Returns:
        bool, of the window's size.
    """
    height, width = (s.stop - s.start for s in window)
    # Linear interpolation above a third, because nearest neighbour tears the thinnest cracks.
    moved = cv2.warpAffine(
        defect.astype(np.float32), matrix_into_window(matrix, window), (width, height)
    )
    return moved > 1 / 3


def defect_within(mask: TargetMask, window: Window) -> np.ndarray:
    """Where inside a target mask the defect itself lies: bool, of the window's size.

    For a borrowed mask this is the donor's defect without the margin; for a drawn mask, all of it.
    """
    target = mask.pixels[window]
    if mask.donor is None or mask.matrix is None:
        return target
    defect = moved_mask(mask.donor.mask, mask.matrix, window) & target
    return defect if defect.any() else target
