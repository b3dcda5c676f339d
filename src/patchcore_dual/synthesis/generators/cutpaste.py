"""`CutPaste`: a patch of the normal image pasted into the mask (Li et al., CVPR 2021)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from patchcore_dual.synthesis.generator import Generator, SyntheticDefect, TargetMask, changed_mask
from patchcore_dual.synthesis.generators.brightness import brightness_change
from patchcore_dual.synthesis.generators.textures import (
    alpha_blend,
    feather,
    match_tone,
    sample_source_patch,
    tint_randomly,
)
from patchcore_dual.synthesis.masks.windows import window_around

TOLERANCE = 4.0  # grey levels


@dataclass(frozen=True)
class CutPaste(Generator):
    """Fills the mask with a patch from another position on the same normal image.

    The patch is moved and mirrored but never rotated, since its grain would cross that of the
    surface. It is matched to the tone of the new position, darkened and brightened like a real
    defect, slightly tinted where the image is in colour, and feathered at its edge.

    >>> surface = np.random.default_rng(0).integers(100, 140, (64, 64, 3), np.uint8)
    >>> target = np.zeros((64, 64), bool)
    >>> target[20:40, 20:40] = True
    >>> made = CutPaste().generate(surface, TargetMask(target, kind="spot"), seed=0)
    >>> made.image.shape, bool(made.mask.any()), bool((made.mask & ~target).any())
    ((64, 64, 3), True, False)
    """

    name: ClassVar[str] = "cutpaste"
    summary: ClassVar[str] = "Fills masks with patches cut from the same normal image."

    def generate(self, normal: np.ndarray, mask: TargetMask, seed: int) -> SyntheticDefect:
        """Paste a patch into the mask; see `Generator.generate`."""
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, 1)
        change = brightness_change(mask, normal, window, rng)
        patch = match_tone(sample_source_patch(normal, window, 1, rng), normal[window])
        patch = tint_randomly(patch, normal, rng) * np.exp(change)[..., None]
        image = alpha_blend(normal, window, patch, feather(mask.pixels[window]))
        return SyntheticDefect(
            image=image,
            mask=changed_mask(normal, image, mask.pixels, TOLERANCE),
            provenance={
                "generator": self.name,
                "seed": seed,
                "darkest": round(float(change.min()), 4),
                "brightest": round(float(change.max()), 4),
            },
        )
