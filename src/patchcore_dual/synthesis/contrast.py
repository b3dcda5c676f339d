"""How much darker or brighter than its surface a defect is, from its rim to its core."""

import cv2
import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.synthesis.generator import AskedMask, RealDefect
from patchcore_dual.synthesis.masks import window_around

AROUND = 8  # pixels about a real defect that its contrast is measured against
BRIGHTEST = 245.0  # grey level to which a defect may lift the bright tenth of its surface
BRIGHT_SHARE = {"scratch": 0.35, "spot": 0.25, "crack": 0.0}  # of drawn defects, by kind
FAINTEST = 0.08  # mean change of log brightness: less cannot be seen
OVER_NOISE = 1.6  # times the surface's own noise that the mean change is at least
MOST_DARK, MOST_BRIGHT = 1.8, 0.7
QUANTILES = np.linspace(0.1, 0.98, 9)


def contrast_for(mask: AskedMask, under: np.ndarray, rng: Rng) -> np.ndarray:
    """float64 `[10]`: changes of log brightness from no depth (none) to the deepest, by rank.

    Measured on the donor where there is one, else drawn by the mask's kind; up to a fifth weaker
    or stronger; never too faint to be seen, and darker where the surface is too bright for
    brighter.

    Args:
        mask: the asked mask.
        under: uint8 `[h, w, 3]`, the surface that the defect will be on.
    """
    profile = _drawn(mask.kind, rng) if mask.donor is None else measured_contrast(mask.donor)
    profile = profile * rng.uniform(0.85, 1.2)
    grey = cv2.cvtColor(under, cv2.COLOR_RGB2GRAY).astype(np.float32)
    noise = float((grey - cv2.GaussianBlur(grey, (0, 0), 3)).std() / max(grey.mean(), 1))
    least = max(FAINTEST, OVER_NOISE * noise)
    room = np.log(BRIGHTEST / max(float(np.percentile(grey, 90)), 1))
    if profile[-1] > 0 and room < 2 * least:
        profile = -profile
    mean = float(profile.mean())
    if abs(mean) < least:
        flat = np.linspace(0.5, 1.5, len(profile)) * np.copysign(least, profile[-1])
        profile = profile * (least / abs(mean)) if abs(mean) > least / 3 else flat
    profile = np.clip(profile, -MOST_DARK, min(MOST_BRIGHT, max(room, 0)))
    return np.append(0, profile)


def measured_contrast(donor: RealDefect) -> np.ndarray:
    """float64 `[9]`: log brightness of a real defect against the surface around it, rim to core.

    Differences between the quantiles of the two, so that what the surface varies by on its own
    does not count; on the side, dark or bright, to which the defect departs further.
    """
    window = window_around(donor.mask, AROUND)
    grey = cv2.cvtColor(donor.image[window], cv2.COLOR_RGB2GRAY)
    logs = np.log(np.maximum(grey, 1).astype(np.float64))
    mask = donor.mask[window].astype(np.uint8)
    far = cv2.dilate(mask, np.ones((2 * AROUND + 1,) * 2, np.uint8)) > 0
    near = cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0
    around = far & ~near if (far & ~near).any() else mask == 0
    profiles = []
    for sign in (-1, 1):
        inside, outside = (np.quantile(sign * logs[m], QUANTILES) for m in (mask > 0, around))
        rising = np.maximum.accumulate(np.maximum(inside - outside, 0))
        profiles.append(sign * np.minimum(rising, MOST_DARK if sign < 0 else MOST_BRIGHT))
    dark, bright = profiles
    return dark if -dark[-1] >= bright[-1] else bright


def _drawn(kind: str, rng: Rng) -> np.ndarray:
    bright = rng.random() < BRIGHT_SHARE.get(kind, 0)
    core = rng.uniform(0.15, 0.45) if bright else -rng.uniform(0.25, 1.1)
    return core * np.linspace(1 / 9, 1, 9) ** rng.uniform(0.6, 1.3)
