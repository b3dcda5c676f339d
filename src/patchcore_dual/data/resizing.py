"""Resizing images, and masks so that no defect vanishes (thesis 3.2)."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_DISTORTION = 0.05  # beyond which the user is warned


def resize_image(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize an image, bilinear with antialiasing.

    Args:
        image: uint8 [H, W, 3].
        width, height: the new size in pixels.

    Returns:
        uint8 [height, width, 3]; the image itself where it has that size already.

    >>> resize_image(np.full((6, 4, 3), 100, np.uint8), 2, 3).shape
    (3, 2, 3)
    """
    if image.shape[:2] == (height, width):
        return image
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def distortion(size: tuple[int, int], new_size: tuple[int, int]) -> float:
    """How much resizing stretches one side against the other, as a fraction.

    >>> round(distortion((400, 400), (224, 632)), 2)
    1.82

    Args:
        size, new_size: width and height in pixels.
    """
    ratio = (new_size[0] * size[1]) / (new_size[1] * size[0])
    return max(ratio, 1 / ratio) - 1


def resizing_note(image: NDArray[np.uint8], resized: NDArray[np.uint8]) -> str:
    """A note for the user that an image, [H, W, 3], was resized to the size of the model."""
    (height, width), (new_height, new_width) = image.shape[:2], resized.shape[:2]
    note = f"resized from {width}x{height} to the model's {new_width}x{new_height}"
    amount = distortion((width, height), (new_width, new_height))
    return f"{note}, which distorts it by {amount:.0%}" if amount > MAX_DISTORTION else note


def resize_mask(mask: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    """Resize a mask by nearest neighbour, keeping every defect.

    Nearest-neighbour sampling (the thesis's choice) can miss a thin defect. Every 8-connected
    defect that no sample hits is drawn as the pixels that its own pixels project to.

    Args:
        mask: bool [H, W], True in defects.
        width, height: the new size in pixels.

    Returns:
        bool [height, width]; the mask itself where it has that size already.

    >>> hairline = np.zeros((8, 8), dtype=bool)
    >>> hairline[4, 2:6] = True
    >>> resize_mask(hairline, 4, 4).astype(int)
    array([[0, 0, 0, 0],
           [0, 0, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    if mask.shape == (height, width):
        return mask
    if not mask.any():
        return np.zeros((height, width), dtype=np.bool_)
    n_defects, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    rows = _nearest(mask.shape[0], height)
    columns = _nearest(mask.shape[1], width)
    resized_labels = labels[rows[:, None], columns]
    resized = resized_labels > 0
    missed = np.setdiff1d(np.arange(1, n_defects), resized_labels)
    if missed.size:
        y, x = np.nonzero(np.isin(labels, missed))
        resized[y * height // mask.shape[0], x * width // mask.shape[1]] = True
    return resized


def _nearest(size: int, new_size: int) -> NDArray[np.int64]:
    """For each new pixel, the old pixel that contains its centre."""
    return (2 * np.arange(new_size) + 1) * size // (2 * new_size)
