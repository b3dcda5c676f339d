"""`CutPaste`: a patch cut elsewhere from the good image fills the mask (Li et al., CVPR 2021)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from patchcore_dual.synthesis.contrast import contrast_for
from patchcore_dual.synthesis.generator import AskedMask, Generator, SyntheticDefect, changed_mask
from patchcore_dual.synthesis.masks import defect_within, window_around
from patchcore_dual.synthesis.textures import composed, elsewhere, jittered, soft_edge

TOLERANCE = 4.0  # grey levels


@dataclass(frozen=True)
class CutPaste(Generator):
    """The patch is turned by any angle, made darker or brighter as a real defect is, tinted a
    little where the image is in colour, and softened at its edge."""

    name: ClassVar[str] = "cutpaste"

    def generate(self, normal: np.ndarray, mask: AskedMask, seed: int) -> SyntheticDefect:
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, 0)
        turn = float(rng.uniform(-180, 180))
        contrast = contrast_for(mask, normal[window], rng)
        gain = float(np.exp(contrast[rng.integers(6, 10)]))
        patch = jittered(elsewhere(normal, window, turn, rng), normal, gain, rng)
        share = soft_edge(defect_within(mask, window), 1.8)
        image = composed(normal, window, patch, share)
        return SyntheticDefect(
            image=image,
            mask=changed_mask(normal, image, mask.pixels, TOLERANCE),
            provenance={
                "generator": self.name,
                "seed": seed,
                "turn": round(turn, 2),
                "gain": round(gain, 4),
            },
        )
