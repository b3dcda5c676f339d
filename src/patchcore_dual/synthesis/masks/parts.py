"""Where the part is in a picture, so that no defect is put on the background."""

import cv2
import numpy as np

WORKING_SIDE = 256  # pixels: larger pictures are shrunk to this for the search
PLAIN = 5.0  # grey levels: the standard deviation of a background over 5x5 pixels is below it
LIKE = 20.0  # grey levels by which a background may pass its commonest tone at the border
STEP = 20.0  # grey levels by which the part differs from the background across its edge
SMALLEST, LARGEST = 0.004, 0.9  # shares of the picture that a background takes


def part_region(normal: np.ndarray) -> np.ndarray:
    """bool `[H, W]`: the part, without its background.

    Background is a plain area, darker or brighter than the rest, that touches the border and ends
    at a clear edge; and any hole that looks like it. Where none can be told (the
    part fills the picture, or fades into the dark), all of the picture is part.

    Args:
        normal: uint8 `[H, W, 3]`, RGB.
    """
    height, width = normal.shape[:2]
    shrink = min(WORKING_SIDE / max(height, width), 1)
    size = max(round(width * shrink), 1), max(round(height * shrink), 1)
    grey = cv2.cvtColor(cv2.resize(normal, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    grey = grey.astype(np.float32)
    background = _beyond(grey) | _beyond(255 - grey)
    if background.mean() > LARGEST:
        return np.ones((height, width), bool)
    full = cv2.resize(background.astype(np.float32), (width, height))
    return full < 0.5


def _beyond(grey: np.ndarray) -> np.ndarray:
    """bool `[H, W]`: background that is darker than the part."""
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
    # The 5x5 windows cannot see the last pixels before an edge.
    return cv2.dilate(kept, np.ones((7, 7), np.uint8)).astype(bool) & (grey < limit) | (kept > 0)


def _border(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])


def _is_background(grey: np.ndarray, region: np.ndarray) -> bool:
    """Whether a region has one tone and what lies beyond its edge is nearly all brighter.

    Beyond means up to 12 pixels: a dark groove is no end of the part.
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
