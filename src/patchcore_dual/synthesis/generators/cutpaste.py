"""`CutPaste`: a patch cut elsewhere from the good image fills the mask (Li et al., CVPR 2021)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from patchcore_dual.synthesis.generator import AskedMask, Generator, SyntheticDefect, changed_mask
from patchcore_dual.synthesis.generators.light import light_for
from patchcore_dual.synthesis.generators.textures import (
    composed,
    elsewhere,
    feather,
    retoned,
    tinted,
)
from patchcore_dual.synthesis.masks.borrowed import window_around

TOLERANCE = 4.0  # grey levels


@dataclass(frozen=True)
class CutPaste(Generator):
    """The patch is moved and mirrored, never turned, since its grain would cross the surface's;
    brought to the tone of its new place; darkened and brightened as a real defect is; tinted a
    little where the image is in colour; and feathered at its edge."""

    name: ClassVar[str] = "cutpaste"

    def generate(self, normal: np.ndarray, mask: AskedMask, seed: int) -> SyntheticDefect:
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, 1)
        light = light_for(mask, normal, window, rng)
        patch = retoned(elsewhere(normal, window, 1, rng), normal[window])
        patch = tinted(patch, normal, rng) * np.exp(light)[..., None]
        image = composed(normal, window, patch, feather(mask.pixels[window]))
        return SyntheticDefect(
            image=image,
            mask=changed_mask(normal, image, mask.pixels, TOLERANCE),
            provenance={
                "generator": self.name,
                "seed": seed,
                "darkest": round(float(light.min()), 4),
                "brightest": round(float(light.max()), 4),
            },
        )
