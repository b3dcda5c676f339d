"""How a defect changes the light of its surface: as a real one does, or drawn.

A change is of log brightness, so that it can be multiplied into a surface whose own grain stays.
"""

import cv2
import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.synthesis.generator import AskedMask, RealDefect
from patchcore_dual.synthesis.generators.textures import half_width
from patchcore_dual.synthesis.masks.borrowed import Window, defect_within, into, window_around
from patchcore_dual.synthesis.masks.drawing import clouds
from patchcore_dual.synthesis.masks.parts import part_region

AROUND = 16  # pixels about a real defect that its light is measured against
SCALES = 0.7, 1.5, 3.0, 6.0, 12.0  # pixels: what varies over less is grain
EDGE = 1.5  # pixels: spread over which the light of a defect ends beside its mask
OVER_GRAIN = 2.0  # times what the surroundings vary by, at each scale: less is no defect
BRIGHTEST = 245.0  # grey level to which a defect may lift the bright tenth of its surface
BRIGHT_SHARE = {"scratch": 0.35, "spot": 0.25, "crack": 0.0}  # of drawn defects, by kind
FAINTEST = 0.18  # change that the strongest fifth exceeds: less cannot be seen
OVER_NOISE = 2.5  # times the surface's own noise that the strongest fifth is at least
MOST_LIFTED = 4.0  # times that a faint defect is strengthened at most
MOST_DARK, MOST_BRIGHT = 1.8, 0.7


def light_for(mask: AskedMask, normal: np.ndarray, window: Window, rng: Rng) -> np.ndarray:
    """float32 `[h, w]`, of the window's size: change of log brightness at each pixel.

    That of the donor, moved as its mask was, where there is one; else drawn by the mask's kind. Up
    to a fifth weaker or stronger, and unevenly so; strengthened where it would be too faint to be
    seen, and darker where the surface is too bright for brighter.

    Args:
        mask: the asked mask.
        normal: uint8 `[H, W, 3]`, the good image.
        window: the part of it that is wanted.
    """
    shape = defect_within(mask, window)
    grey = cv2.cvtColor(normal[window], cv2.COLOR_RGB2GRAY).astype(np.float32)
    noise = float((grey - cv2.GaussianBlur(grey, (0, 0), 3))[shape].std() / max(grey.mean(), 1))
    least = max(FAINTEST, OVER_NOISE * noise)
    light = _moved_light(mask, window)
    strong = 0.0 if light is None else _strong(light, shape)
    if light is None or MOST_LIFTED * strong < FAINTEST:
        light = drawn_light(shape, mask.kind, rng)
        strong = _strong(light, shape)
    light *= np.clip(least / max(strong, 1e-6), 1, MOST_LIFTED)
    uneven = 1 + 0.15 * clouds(grey.shape, 25, rng)
    light = light * float(rng.uniform(0.85, 1.2)) * np.clip(uneven, 0.6, 1.4)
    room = max(float(np.log(BRIGHTEST / max(float(np.percentile(grey, 90)), 1))), 0)
    if light[shape].mean() > 0 and room < least:
        light = -light
    return np.clip(light, -MOST_DARK, min(MOST_BRIGHT, room)).astype(np.float32)


def measured_light(donor: RealDefect) -> tuple[np.ndarray, Window]:
    """float32 `[h, w]`, and where it is on the donor: the light of a real defect, 0 beside it.

    Log brightness against that of the surface around, without grain: at every scale, what does
    not exceed what the surroundings vary by is taken out.
    """
    window = window_around(donor.mask, AROUND)
    grey = cv2.cvtColor(donor.image[window], cv2.COLOR_RGB2GRAY)
    logs = np.log(np.maximum(grey, 4).astype(np.float32))
    defect = donor.mask[window]
    beside = ~cv2.dilate(defect.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    on_part = beside & part_region(donor.image)[window]
    around = next((m for m in (on_part, beside, ~defect) if m.sum() >= 16), ~defect)
    light = logs - _tone_around(logs, around, half_width(defect))
    clean = np.zeros_like(light)
    finer = cv2.GaussianBlur(light, (0, 0), SCALES[0])
    widest = max(half_width(defect) / 3, SCALES[0])
    for scale in [s for s in SCALES[1:] if s < widest]:
        coarser = cv2.GaussianBlur(light, (0, 0), scale)
        clean += _beyond_grain(finer - coarser, (finer - coarser)[around])
        finer = coarser
    trend = cv2.GaussianBlur(finer, (0, 0), 2 * widest)
    clean += _beyond_grain(finer, (finer - trend)[around])
    # The tone of another surface, or of the background, may begin beside the mask.
    inside = np.clip(2 * cv2.GaussianBlur(defect.astype(np.float32), (0, 0), EDGE), 0, 1)
    return clean * inside, window


def drawn_light(shape: np.ndarray, kind: str, rng: Rng) -> np.ndarray:
    """float32 `[h, w]`: a groove or pit, uneven along it, with a lip that faces some light.

    Args:
        shape: bool `[h, w]`, not empty.
        kind: "scratch", "spot", "crack", or of a real defect.
    """
    bright = rng.random() < BRIGHT_SHARE.get(kind, 0)
    core = float(rng.uniform(0.15, 0.45) if bright else -rng.uniform(0.4, 1.2))
    wide = half_width(shape)
    core *= min((8 / wide) ** 0.5, 1)  # wide defects of real sets are the fainter
    depth = depth_of(shape)
    along = 0.8 + 0.2 * clouds(depth.shape, 15, rng)
    along += 0.1 * clouds(depth.shape, 4, rng)
    depth = depth * np.clip(along, 0.3, 1)
    lip = float(rng.uniform(0.05, 0.35)) * abs(core)
    return core * depth + lip * _lit(depth, float(rng.uniform(0, 2 * np.pi)))


def depth_of(shape: np.ndarray) -> np.ndarray:
    """float32 `[h, w]`, 0..1: how far inside a shape, by how wide the shape is there."""
    framed = np.pad(shape, 2, mode="edge").astype(np.uint8)
    inside = cv2.distanceTransform(framed, cv2.DIST_L2, 5)
    # Where the shape is thin, its middle counts as deep although the rim is near.
    reach = np.ones((7, 7), np.uint8)
    wide = half_width(shape)
    half = np.clip(cv2.dilate(inside, reach), 1, 2.5 + wide / 6)
    # Outlines are drawn in whole pixels, and distances count them: thin strokes would be beaded.
    return cv2.GaussianBlur(np.clip(inside / half, 0, 1), (0, 0), 0.8 + wide / 12)[2:-2, 2:-2]


def _moved_light(mask: AskedMask, window: Window) -> np.ndarray | None:
    if mask.donor is None or mask.matrix is None:
        return None
    light, source = measured_light(mask.donor)
    matrix = into(mask.matrix, window)
    corner = np.array([source[1].start, source[0].start])
    matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ corner])
    height, width = (s.stop - s.start for s in window)
    return cv2.warpAffine(
        light, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _tone_around(logs: np.ndarray, around: np.ndarray, reach: float) -> np.ndarray:
    """float32 `[h, w]`: the tone around a defect, carried on under it."""
    middle = np.median(logs[around])
    weight: np.ndarray = around.astype(np.float32)
    known: np.ndarray = weight * np.clip(logs, middle - 0.5, middle + 0.5)
    size = (2 * round(reach + AROUND / 2) + 1,) * 2
    for _ in range(2):
        known = cv2.blur(known, size, borderType=cv2.BORDER_REFLECT)
        weight = cv2.blur(weight, size, borderType=cv2.BORDER_REFLECT)
    return np.where(weight > 1e-4, known / np.maximum(weight, 1e-4), middle).astype(np.float32)


def _beyond_grain(light: np.ndarray, around: np.ndarray) -> np.ndarray:
    """What exceeds the spread of the surroundings; the more it does, the less is taken away."""
    grain = OVER_GRAIN * float(around.std())
    return light * np.clip(1 - (grain / np.maximum(np.abs(light), 1e-6)) ** 2, 0, 1)


def _strong(light: np.ndarray, shape: np.ndarray) -> float:
    """The change that the strongest fifth of a defect exceeds."""
    return float(np.quantile(np.abs(light[shape]), 0.8))


def _lit(depth: np.ndarray, light: float) -> np.ndarray:
    """float32 `[h, w]`: brighter on the lip that faces the light, darker on the other."""
    soft = cv2.GaussianBlur(depth, (0, 0), 0.8)
    slope_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=1)
    slope_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=1)
    return np.clip(2 * (np.cos(light) * slope_x + np.sin(light) * slope_y), -0.5, 1)
