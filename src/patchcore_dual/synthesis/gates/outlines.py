"""How sharply a defect stands out along the edge of its mask: whether there is a seam."""

import cv2
import numpy as np

SURROUNDINGS = 3, 8  # pixels from the outline between which the surface around is measured
INWARDS = 2, 4, 6  # pixels


def outline_sharpness(image: np.ndarray, mask: np.ndarray) -> float:
    """How much steeper grey values change across a mask's edge than on the surface around it.

    The mean gradient across the two pixels at the edge, by the mean gradient of the surface 3 to
    8 pixels outside; about 1 where nothing marks the edge.

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
    # Half a grey level: on a surface without any texture of its own, rounding is texture.
    return float(across.max(axis=2)[np.abs(depth) < 1].mean() / max(surface, 0.5))


def sharpest_outline(image: np.ndarray, mask: np.ndarray) -> float:
    """Of a real defect's mask and of smaller ones inside it: masks are often drawn too wide."""
    depth = _signed_distance(mask)
    found = [outline_sharpness(image, mask)]
    for level in INWARDS:
        if (depth > level).any():
            found.append(outline_sharpness(image, depth > level))
    return max(found)


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """float32 `[H, W]`: pixels from the mask's edge, positive inside; half pixels at the edge."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.where(mask, inside - 0.5, 0.5 - outside)
