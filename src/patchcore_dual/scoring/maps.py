"""Anomaly maps: patch scores brought to image size and smoothed (thesis 4.3.5, last part)."""

import cv2
import numpy as np


def anomaly_map(grid: np.ndarray, height: int, width: int, sigma: float) -> np.ndarray:
    """Upsample a patch grid `[h, w]` bilinearly and smooth it with a Gaussian.

    Args:
        grid: one score per patch; its cells tile the image.
        height, width: of the prepared image, in pixels.
        sigma: standard deviation of the Gaussian, in prepared-image pixels.

    Returns:
        float32 `[height, width]`.
    """
    upsampled = resize_map(np.ascontiguousarray(grid, dtype=np.float32), height, width)
    return cv2.GaussianBlur(upsampled, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def resize_map(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear resize of a float32 map, cells aligned by their areas."""
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
