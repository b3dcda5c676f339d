"""The region of the workpiece in an image, so that no defect is placed on the background."""

import cv2
import numpy as np

WORKING_SIDE = 256  # pixels: larger images are shrunk to this side first
PLAIN = 5.0  # grey levels: upper limit of a background's standard deviation over 5x5 pixels
LIKE = 20.0  # grey levels by which a background may exceed its most common tone at the border
STEP = 20.0  # grey levels: smallest difference between part and background across the edge
SMALLEST, LARGEST = 0.004, 0.9  # fraction of the image that a background may cover


def part_region(normal: np.ndarray) -> np.ndarray:
    """The part in a normal image, without the background.

    Background is a plain area, darker or brighter than the rest, that touches the border and ends
    at a clear edge, and every hole of the same tone. Where no background can be identified (the
    part fills the image, or fades into the dark), the whole image counts as part.

    >>> image = np.zeros((64, 64, 3), np.uint8)
    >>> image[16:48] = np.random.default_rng(0).integers(140, 180, (32, 64, 1), np.uint8)
    >>> region = part_region(image)
    >>> bool(region[32].all()), bool(region[4].any())
    (True, False)

    Args:
        normal: uint8 `[H, W, 3]`, RGB.

    Returns:
        bool `[H, W]`.
    """
    height, width = normal.shape[:2]
    shrink = min(WORKING_SIDE / max(height, width), 1)
    size = max(round(width * shrink), 1), max(round(height * shrink), 1)
    grey = cv2.cvtColor(cv2.resize(normal, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    grey = grey.astype(np.float32)
    background = _dark_background(grey) | _dark_background(255 - grey)
    if background.mean() > LARGEST:
        return np.ones((height, width), bool)
    full = cv2.resize(background.astype(np.float32), (width, height))
    return full < 0.5


def _dark_background(grey: np.ndarray) -> np.ndarray:
    """The background, if it is darker than the part: bool `[H, W]`."""
    smooth = cv2.blur(grey, (5, 5))
    plain = np.sqrt(np.maximum(cv2.blur(grey * grey, (5, 5)) - smooth * smooth, 0)) < PLAIN
    dark = smooth < np.percentile(grey, 90) - STEP
    tones = _border(smooth)[_border(plain & dark)]
    if tones.size < 5:
        return np.zeros(grey.shape, bool)
    counts, edges = np.histogram(tones, bins=32, range=(0, 256))
    limit = edges[counts.argmax()] + 4 + LIKE
    alike = (plain & (smooth < limit)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(alike, connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= SMALLEST * grey.size
    background = [i for i in np.flatnonzero(large) if i and _is_background(grey, labels == i)]
    if not np.isin(_border(labels), background).any():
        return np.zeros(grey.shape, bool)
    kept = np.isin(labels, background).astype(np.uint8)
    # The 5x5 windows miss the last pixels before an edge.
    return cv2.dilate(kept, np.ones((7, 7), np.uint8)).astype(bool) & (grey < limit) | (kept > 0)


def _border(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])


def _is_background(grey: np.ndarray, region: np.ndarray) -> bool:
    """Whether a region has one tone, and nearly everything beyond its edge is brighter.

    Pixels up to 12 from the edge are compared, so that a dark groove does not end the part.
    """
    if grey[region].std() > LIKE / 2:
        return False
    own = region.astype(np.float32)
    near = cv2.dilate(own, np.ones((7, 7), np.uint8)) > 0
    beyond = (cv2.dilate(own, np.ones((25, 25), np.uint8)) > 0) & ~near
    if not beyond.any():
        return False
    inside = cv2.blur(grey * own, (27, 27))[beyond] / cv2.blur(own, (27, 27))[beyond]
    return bool(np.percentile(grey[beyond] - inside, 20) > STEP)
