"""How a defect changes the brightness of its surface: measured on a real defect, or drawn.

A brightness change is a difference of log brightness. Its exponential is multiplied into a surface,
whose own grain is kept.
"""

import cv2
import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.synthesis.generator import TargetMask
from patchcore_dual.synthesis.generators.textures import half_width
from patchcore_dual.synthesis.masks.parts import part_region
from patchcore_dual.synthesis.masks.shapes import smooth_noise
from patchcore_dual.synthesis.masks.windows import (
    Window,
    defect_within,
    matrix_into_window,
    window_around,
)
from patchcore_dual.synthesis.real_defects import RealDefect

AROUND = 16  # pixels around a real defect that serve as its reference surface
SCALES = 0.7, 1.5, 3.0, 6.0, 12.0  # pixels: Gaussian scales; variation below the first is grain
EDGE = 1.5  # pixels: standard deviation over which the change fades beside the mask
GRAIN_FACTOR = 2.0  # standard deviations of the surroundings, below which a change is suppressed
BRIGHTEST = 245.0  # grey level to which a defect may lift the brightest tenth of its surface
BRIGHT_FRACTION = {"scratch": 0.35, "spot": 0.25, "crack": 0.0}  # of drawn defects, by kind
MIN_STRENGTH = 0.18  # smallest visible change; strength is the 80 % quantile inside the mask
MIN_SIGNAL_TO_NOISE = 2.5  # smallest strength relative to the surface's own noise
MAX_AMPLIFICATION = 4.0  # of a defect that is too faint
MAX_DARKENING, MAX_BRIGHTENING = 1.8, 0.7


def brightness_change(mask: TargetMask, normal: np.ndarray, window: Window, rng: Rng) -> np.ndarray:
    """The change of log brightness that a defect makes at each pixel of a window.

    It is the donor's, moved along with its mask, where there is a donor with a visible change;
    otherwise it is drawn according to the mask's kind. It is amplified if it would be too faint to
    see, scaled by a random factor of 0.85 to 1.2 with smooth spatial variation, and inverted to a
    darkening if the surface is too bright to be brightened further.

    Args:
        mask: the target mask.
        normal: uint8 `[H, W, 3]`, the normal image.
        window: rows and columns of the image.
        rng: source of all randomness.

    Returns:
        float32 `[h, w]`, of the window's size.
    """
    shape = defect_within(mask, window)
    grey = cv2.cvtColor(normal[window], cv2.COLOR_RGB2GRAY).astype(np.float32)
    noise = float((grey - cv2.GaussianBlur(grey, (0, 0), 3))[shape].std() / max(grey.mean(), 1))
    weakest = max(MIN_STRENGTH, MIN_SIGNAL_TO_NOISE * noise)
    change = _donor_change(mask, window)
    strength = 0.0 if change is None else _strength(change, shape)
    if change is None or MAX_AMPLIFICATION * strength < MIN_STRENGTH:
        change = draw_brightness_change(shape, mask.kind, rng)
        strength = _strength(change, shape)
    change *= np.clip(weakest / max(strength, 1e-6), 1, MAX_AMPLIFICATION)
    uneven = 1 + 0.15 * smooth_noise(grey.shape, 25, rng)
    change = change * float(rng.uniform(0.85, 1.2)) * np.clip(uneven, 0.6, 1.4)
    room = max(float(np.log(BRIGHTEST / max(float(np.percentile(grey, 90)), 1))), 0)
    if change[shape].mean() > 0 and room < weakest:
        change = -change
    return np.clip(change, -MAX_DARKENING, min(MAX_BRIGHTENING, room)).astype(np.float32)


def measure_brightness_change(donor: RealDefect) -> tuple[np.ndarray, Window]:
    """The change of log brightness that a real defect makes.

    It is the difference of log brightness to the surrounding surface, denoised by multi-scale
    shrinkage: at each scale, components within the variation of the surroundings are suppressed.

    Returns:
        float32 `[h, w]`, 0 beside the defect, and the window of the donor that it covers.
    """
    window = window_around(donor.mask, AROUND)
    grey = cv2.cvtColor(donor.image[window], cv2.COLOR_RGB2GRAY)
    logs = np.log(np.maximum(grey, 4).astype(np.float32))
    defect = donor.mask[window]
    beside = ~cv2.dilate(defect.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    on_part = beside & part_region(donor.image)[window]
    reference = next((m for m in (on_part, beside, ~defect) if m.sum() >= 16), ~defect)
    change = logs - _surrounding_tone(logs, reference, half_width(defect))
    clean = np.zeros_like(change)
    finer = cv2.GaussianBlur(change, (0, 0), SCALES[0])
    widest = max(half_width(defect) / 3, SCALES[0])
    for scale in [s for s in SCALES[1:] if s < widest]:
        coarser = cv2.GaussianBlur(change, (0, 0), scale)
        clean += _shrink(finer - coarser, (finer - coarser)[reference])
        finer = coarser
    trend = cv2.GaussianBlur(finer, (0, 0), 2 * widest)
    clean += _shrink(finer, (finer - trend)[reference])
    # Beside the mask, another surface or the background may begin.
    inside = np.clip(2 * cv2.GaussianBlur(defect.astype(np.float32), (0, 0), EDGE), 0, 1)
    return clean * inside, window


def draw_brightness_change(shape: np.ndarray, kind: str, rng: Rng) -> np.ndarray:
    """The change of log brightness of an uneven groove or pit whose lip is lit from one side.

    Args:
        shape: bool `[h, w]`, not empty.
        kind: "scratch", "spot", "crack", or the kind of a real defect.
        rng: source of all randomness.

    Returns:
        float32 `[h, w]`.
    """
    bright = rng.random() < BRIGHT_FRACTION.get(kind, 0)
    core = float(rng.uniform(0.15, 0.45) if bright else -rng.uniform(0.4, 1.2))
    wide = half_width(shape)
    core *= min((8 / wide) ** 0.5, 1)  # in real data sets, wide defects are fainter
    depth = relative_depth(shape)
    along = 0.8 + 0.2 * smooth_noise(depth.shape, 15, rng)
    along += 0.1 * smooth_noise(depth.shape, 4, rng)
    depth = depth * np.clip(along, 0.3, 1)
    lip = float(rng.uniform(0.05, 0.35)) * abs(core)
    return core * depth + lip * _lip_shading(depth, float(rng.uniform(0, 2 * np.pi)))


def relative_depth(shape: np.ndarray) -> np.ndarray:
    """Depth inside a shape, relative to its local width: float32 `[h, w]`, 0 to 1."""
    framed = np.pad(shape, 2, mode="edge").astype(np.uint8)
    inside = cv2.distanceTransform(framed, cv2.DIST_L2, 5)
    # Where the shape is thin, its middle counts as deep although its rim is near.
    reach = np.ones((7, 7), np.uint8)
    wide = half_width(shape)
    half = np.clip(cv2.dilate(inside, reach), 1, 2.5 + wide / 6)
    # Outlines are drawn in whole pixels, so that without smoothing thin strokes look beaded.
    return cv2.GaussianBlur(np.clip(inside / half, 0, 1), (0, 0), 0.8 + wide / 12)[2:-2, 2:-2]


def _donor_change(mask: TargetMask, window: Window) -> np.ndarray | None:
    """The donor's brightness change, moved along with its mask; None without a donor."""
    if mask.donor is None or mask.matrix is None:
        return None
    change, source = measure_brightness_change(mask.donor)
    matrix = matrix_into_window(mask.matrix, window)
    corner = np.array([source[1].start, source[0].start])
    matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ corner])
    height, width = (s.stop - s.start for s in window)
    return cv2.warpAffine(
        change, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _surrounding_tone(logs: np.ndarray, reference: np.ndarray, reach: float) -> np.ndarray:
    """The tone around a defect, extrapolated under it: float32 `[h, w]`."""
    middle = np.median(logs[reference])
    weight: np.ndarray = reference.astype(np.float32)
    known: np.ndarray = weight * np.clip(logs, middle - 0.5, middle + 0.5)
    size = (2 * round(reach + AROUND / 2) + 1,) * 2
    for _ in range(2):
        known = cv2.blur(known, size, borderType=cv2.BORDER_REFLECT)
        weight = cv2.blur(weight, size, borderType=cv2.BORDER_REFLECT)
    return np.where(weight > 1e-4, known / np.maximum(weight, 1e-4), middle).astype(np.float32)


def _shrink(change: np.ndarray, surroundings: np.ndarray) -> np.ndarray:
    """Non-negative garrote shrinkage: values within the surroundings' variation become 0."""
    grain = GRAIN_FACTOR * float(surroundings.std())
    return change * np.clip(1 - (grain / np.maximum(np.abs(change), 1e-6)) ** 2, 0, 1)


def _strength(change: np.ndarray, shape: np.ndarray) -> float:
    """The magnitude that the strongest fifth of a brightness change exceeds."""
    return float(np.quantile(np.abs(change[shape]), 0.8))


def _lip_shading(depth: np.ndarray, direction: float) -> np.ndarray:
    """Brighter on the lip that faces the light, darker on the opposite one: float32 `[h, w]`."""
    soft = cv2.GaussianBlur(depth, (0, 0), 0.8)
    slope_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=1)
    slope_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=1)
    return np.clip(2 * (np.cos(direction) * slope_x + np.sin(direction) * slope_y), -0.5, 1)
