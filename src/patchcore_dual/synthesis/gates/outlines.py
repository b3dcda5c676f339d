"""Sharpness of the outline of a defect, which reveals a pasted patch by its seam."""

import cv2
import numpy as np

SURROUNDINGS = 3, 8  # pixels outside the outline between which the surface is measured
INWARDS = 2, 4, 6  # pixels


def outline_sharpness(image: np.ndarray, mask: np.ndarray) -> float:
    """The steepness of grey values across a mask's edge, relative to the surrounding surface.

    It is the mean gradient across the edge, over one pixel to either side, divided by the mean
    gradient of the surface 3 to 8 pixels outside; about 1 where nothing marks the edge.

    >>> image = np.random.default_rng(0).integers(100, 140, (64, 64, 3), np.uint8)
    >>> mask = np.zeros((64, 64), bool)
    >>> mask[20:44, 20:44] = True
    >>> pasted = np.where(mask[..., None], 250, image).astype(np.uint8)
    >>> outline_sharpness(image, mask) < 1.5 < outline_sharpness(pasted, mask)
    True

    Args:
        image: uint8 `[H, W, 3]`.
        mask: bool `[H, W]`, not empty.
    """
    pixels = image.astype(np.float32)
    # Scale 1/32 makes Scharr's filter give grey levels per pixel.
    slopes = [cv2.Scharr(pixels, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1))]
    depth = _signed_distance(mask)
    smooth = cv2.GaussianBlur(depth, (0, 0), 1)
    normal = [cv2.Scharr(smooth, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1))]
    length = np.maximum(np.hypot(*normal), 1e-6)
    across = np.abs(sum(s * (n / length)[..., None] for s, n in zip(slopes, normal, strict=True)))
    steepness = np.hypot(*slopes).max(axis=2)
    nearest, farthest = SURROUNDINGS
    around = (-farthest < depth) & (depth < -nearest)
    surface = steepness[around if around.any() else ...].mean()
    # At least half a grey level, since rounding alone gives a surface without texture that much.
    return float(across.max(axis=2)[np.abs(depth) < 1].mean() / max(surface, 0.5))


def sharpest_outline(image: np.ndarray, mask: np.ndarray) -> float:
    """The largest sharpness of a real defect's mask and of smaller ones inside it.

    Masks of real defects are often drawn too wide.
    """
    depth = _signed_distance(mask)
    sharpness = [outline_sharpness(image, mask)]
    for level in INWARDS:
        if (depth > level).any():
            sharpness.append(outline_sharpness(image, depth > level))
    return max(sharpness)


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance to the mask's edge in pixels, positive inside, ±0.5 at it: float32 `[H, W]`."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.where(mask, inside - 0.5, 0.5 - outside)
