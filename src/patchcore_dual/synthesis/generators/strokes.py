"""`Strokes`: scratches, cracks and spots with the photometry of real ones, the surface kept.

Light is multiplied, never painted over: the surface's own grain runs on through the defect.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from patchcore_dual.synthesis.generator import AskedMask, Generator, SyntheticDefect, changed_mask
from patchcore_dual.synthesis.generators.light import light_for
from patchcore_dual.synthesis.generators.textures import composed, feather
from patchcore_dual.synthesis.masks.borrowed import window_around

TOLERANCE = 0.05  # of the tone around: the faint outer slope of a lip is no part of the mask


@dataclass(frozen=True)
class Strokes(Generator):
    """Where the mask comes from a real defect, the surface is darkened and brightened as it does
    its own; otherwise a groove is drawn, by the kind of mask."""

    name: ClassVar[str] = "strokes"

    def generate(self, normal: np.ndarray, mask: AskedMask, seed: int) -> SyntheticDefect:
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, 1)
        light = light_for(mask, normal, window, rng)
        lit = normal[window] * np.exp(light)[..., None]
        image = composed(normal, window, lit, feather(mask.pixels[window]))
        tone = float(np.median(normal[window]))
        return SyntheticDefect(
            image=image,
            mask=changed_mask(normal, image, mask.pixels, max(TOLERANCE * tone, 3)),
            provenance={
                "generator": self.name,
                "seed": seed,
                "darkest": round(float(light.min()), 4),
                "brightest": round(float(light.max()), 4),
            },
        )
