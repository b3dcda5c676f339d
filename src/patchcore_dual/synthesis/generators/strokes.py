"""`Strokes`: scratches, cracks and spots that keep the surface under them.

Brightness is multiplied, never painted over: the surface's grain continues through the defect.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from patchcore_dual.synthesis.generator import Generator, SyntheticDefect, TargetMask, changed_mask
from patchcore_dual.synthesis.generators.brightness import brightness_change
from patchcore_dual.synthesis.generators.textures import alpha_blend, feather
from patchcore_dual.synthesis.masks.windows import window_around

# Relative to the surrounding tone: the faint outer slope of a lip does not belong to the mask.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Strokes(Generator):
    """Darkens and brightens the surface as the donor of the mask does, or as a drawn groove would.

    The brightness change is the donor's where the mask comes from a real defect; otherwise a
    groove or pit is drawn according to the kind of the mask.

    >>> surface = np.random.default_rng(0).integers(100, 140, (64, 64, 3), np.uint8)
    >>> target = np.zeros((64, 64), bool)
    >>> target[30:35, 10:50] = True
    >>> made = Strokes().generate(surface, TargetMask(target, kind="crack"), seed=0)
    >>> made.image.shape, bool(made.mask.any()), bool((made.mask & ~target).any())
    ((64, 64, 3), True, False)
    """

    name: ClassVar[str] = "strokes"
    summary: ClassVar[str] = "Draws scratches, cracks and spots, or redraws real defects."

    def generate(self, normal: np.ndarray, mask: TargetMask, seed: int) -> SyntheticDefect:
        """Change the brightness inside the mask; see `Generator.generate`."""
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, 1)
        change = brightness_change(mask, normal, window, rng)
        lit = normal[window] * np.exp(change)[..., None]
        image = alpha_blend(normal, window, lit, feather(mask.pixels[window]))
        tone = float(np.median(normal[window]))
        return SyntheticDefect(
            image=image,
            mask=changed_mask(normal, image, mask.pixels, max(TOLERANCE * tone, 3)),
            provenance={
                "generator": self.name,
                "seed": seed,
                "darkest": round(float(change.min()), 4),
                "brightest": round(float(change.max()), 4),
            },
        )
