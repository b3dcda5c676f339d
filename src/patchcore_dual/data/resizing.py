"""Resizing images, and masks so that no defect vanishes (thesis 3.2)."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resize_image(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize uint8 [H, W, 3] to [height, width, 3], bilinear with antialiasing."""
    if image.shape[:2] == (height, width):
        return image
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def resizing_note(image: NDArray[np.uint8], resized: NDArray[np.uint8]) -> str:
    """What to tell a user whose image was resized."""
    (height, width), (new_height, new_width) = image.shape[:2], resized.shape[:2]
    return f"resized from {width}x{height} to the model's {new_width}x{new_height}"


def resize_mask(mask: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    """Resize bool [H, W] to [height, width] by nearest neighbour, keeping every defect.

    Nearest neighbour (the thesis's choice) can step over a thin defect. Each 8-connected defect
    of which no pixel came through is drawn as the pixels that it projects to.
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
    lost = np.setdiff1d(np.arange(1, n_defects), resized_labels)
    if lost.size:
        y, x = np.nonzero(np.isin(labels, lost))
        resized[y * height // mask.shape[0], x * width // mask.shape[1]] = True
    return resized


def _nearest(size: int, new_size: int) -> NDArray[np.int64]:
    """For each new pixel, the old one its centre falls into."""
    return (2 * np.arange(new_size) + 1) * size // (2 * new_size)
