"""`Strokes`: scratches, cracks and spots with the photometry of real ones, the surface kept.

Light is multiplied, never painted over: the core of a groove is darker (or, worn bright, lighter)
by a share of the surface's own tone, deepest in the middle and uneven along it, and the lip that
faces the light is brighter.
"""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.random import Generator as Rng
from scipy.stats import rankdata

from patchcore_dual.synthesis.contrast import contrast_for
from patchcore_dual.synthesis.drawing import clouds
from patchcore_dual.synthesis.generator import AskedMask, Generator, SyntheticDefect, changed_mask
from patchcore_dual.synthesis.masks import defect_within, window_around
from patchcore_dual.synthesis.textures import composed, soft_edge

TOLERANCE = 0.05  # of the tone around: the faint outer slope of a lip is no part of the mask
SLOPE = 2.5  # pixels over which a wide defect reaches its full depth


@dataclass(frozen=True)
class Strokes(Generator):
    """Where the mask comes from a real defect, its contrast to its surroundings is measured, and
    met; otherwise it is drawn by the kind of mask."""

    name: ClassVar[str] = "strokes"

    def generate(self, normal: np.ndarray, mask: AskedMask, seed: int) -> SyntheticDefect:
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, 0)
        asked = mask.pixels[window]
        shape = defect_within(mask, window)
        depth = _depth(shape, rng)
        contrast = contrast_for(mask, normal[window], rng)
        change = _deepened(depth, shape, contrast)
        lip = float(rng.uniform(0.05, 0.35) * abs(contrast[-1]))
        light = float(rng.uniform(0, 2 * np.pi))
        change += lip * _lit(depth, light)
        tone = float(np.median(normal[window]))
        lit = normal[window] * np.exp(change)[..., None]
        image = composed(normal, window, lit, soft_edge(asked, 2))
        return SyntheticDefect(
            image=image,
            mask=changed_mask(normal, image, mask.pixels, max(TOLERANCE * tone, 3)),
            provenance={
                "generator": self.name,
                "seed": seed,
                "contrast": [round(float(c), 4) for c in contrast],
                "lip": round(lip, 4),
                "light": round(float(np.rad2deg(light)), 1),
            },
        )


def _depth(defect: np.ndarray, rng: Rng) -> np.ndarray:
    """float32 `[h, w]`, 0..1: how deep a groove or pit of this shape is."""
    framed = np.pad(defect, 2).astype(np.uint8)
    inside = cv2.distanceTransform(framed, cv2.DIST_L2, 5)
    # Where the shape is thin, its middle counts as deep although the rim is near.
    reach = np.ones((7, 7), np.uint8)
    half_width = np.clip(cv2.dilate(inside, reach), 1, SLOPE)
    profile = cv2.GaussianBlur(np.clip(inside / half_width, 0, 1), (0, 0), 0.6)[2:-2, 2:-2]
    height, width = profile.shape
    along = 0.8 + 0.18 * clouds((height, width), 25, rng) + 0.06 * clouds((height, width), 4, rng)
    return profile * np.clip(along, 0.3, 1)


def _deepened(depth: np.ndarray, shape: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """float32 `[h, w]`: the contrast of each pixel of a shape, so that all of it is met.

    By the rank of its depth: a tenth of the pixels has the contrast of the deepest tenth.
    """
    change = np.zeros(depth.shape, np.float32)
    ranks = rankdata(depth[shape], method="ordinal") / shape.sum()
    change[shape] = np.interp(ranks, np.linspace(0, 1, len(contrast)), contrast)
    return cv2.GaussianBlur(change, (0, 0), 0.5)


def _lit(depth: np.ndarray, light: float) -> np.ndarray:
    """float32 `[h, w]`: brighter on the lip that faces the light, darker on the other."""
    soft = cv2.GaussianBlur(depth, (0, 0), 0.8)
    slope_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=1)
    slope_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=1)
    return np.clip(2 * (np.cos(light) * slope_x + np.sin(light) * slope_y), -0.5, 1)
