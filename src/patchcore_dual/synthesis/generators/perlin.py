"""`Perlin`: a shape with the outline of Perlin noise, filled with a disturbed surface.

After DRAEM (Zavrtanik et al., ICCV 2021) and MemSeg (Yang et al., 2022), restricted to the target
mask. Their external texture data set is not used: the shape is filled with surface from another
position on the same image, enlarged, and made rougher or smoother.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.synthesis.generator import Generator, SyntheticDefect, TargetMask, changed_mask
from patchcore_dual.synthesis.generators.brightness import brightness_change, relative_depth
from patchcore_dual.synthesis.generators.textures import (
    alpha_blend,
    feather,
    half_width,
    match_tone,
    sample_source_patch,
    tint_randomly,
    tone,
)
from patchcore_dual.synthesis.masks.windows import window_around

TOLERANCE = 4.0  # grey levels
MIDDLE = 0.65  # relative depth of a shape from which on noise never cuts through
WIDE = 6.0  # pixels: half the width of a shape from which on noise erodes its rim fully


@dataclass(frozen=True)
class Perlin(Generator):
    """Blends in a disturbed surface, opaque by half or more, inside an outline of Perlin noise.

    The surface is darkened and brightened like a real defect.

    >>> surface = np.random.default_rng(0).integers(100, 140, (64, 64, 3), np.uint8)
    >>> target = np.zeros((64, 64), bool)
    >>> target[20:40, 20:40] = True
    >>> made = Perlin().generate(surface, TargetMask(target, kind="spot"), seed=0)
    >>> made.image.shape, bool(made.mask.any()), bool((made.mask & ~target).any())
    ((64, 64, 3), True, False)
    """

    name: ClassVar[str] = "perlin"
    summary: ClassVar[str] = "Disturbs the surface inside outlines of Perlin noise."

    def generate(self, normal: np.ndarray, mask: TargetMask, seed: int) -> SyntheticDefect:
        """Disturb the surface inside the mask; see `Generator.generate`."""
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, 1)
        target, under = mask.pixels[window], normal[window]
        cell = float(np.clip(np.sqrt(target.sum()) * rng.uniform(0.3, 0.8), 6, 48))
        noise = perlin_noise(target.shape, cell, rng)
        alpha = _eroded_alpha(target, noise, rng)[..., None] * feather(target)
        change = brightness_change(mask, normal, window, rng) * (1 + 0.4 * noise)
        zoom = float(rng.uniform(1.1, 1.5))
        rough = float(rng.uniform(0.6, 1.1))
        opacity = float(rng.uniform(0.5, 1))
        texture = _roughened(
            match_tone(sample_source_patch(normal, window, zoom, rng), under), under, rough
        )
        filled = under + opacity * (texture - under)
        lit = tint_randomly(filled, normal, rng) * np.exp(change)[..., None]
        image = alpha_blend(normal, window, lit, alpha)
        return SyntheticDefect(
            image=image,
            mask=changed_mask(normal, image, mask.pixels, TOLERANCE),
            provenance={
                "generator": self.name,
                "seed": seed,
                "cell": round(cell, 2),
                "zoom": round(zoom, 4),
                "rough": round(rough, 4),
                "opacity": round(opacity, 4),
            },
        )


def _roughened(texture: np.ndarray, under: np.ndarray, rough: float) -> np.ndarray:
    """A texture whose structure has `rough` times the contrast of that under it: `[h, w, 3]`."""
    own, new = (a - tone(a) for a in (under, texture))
    return tone(texture) + new * np.float32(rough * own.std() / max(new.std(), 1e-3))


def _eroded_alpha(shape: np.ndarray, noise: np.ndarray, rng: Rng) -> np.ndarray:
    """Opacity 0 to 1, float32 `[h, w]`: noise erodes the rim of a shape but not its middle.

    Thresholded noise alone would cut a crack into dashes; a hairline is not eroded at all.
    """
    strongest = float(rng.uniform(0.4, 1)) * MIDDLE * min(half_width(shape) / WIDE, 1)
    eroded = strongest * np.clip(0.5 - noise, 0, 1)
    return np.clip((relative_depth(shape) - eroded) / (1 - MIDDLE), 0, 1).astype(np.float32)


def perlin_noise(shape: tuple[int, ...], cell: float, rng: Rng) -> np.ndarray:
    """Gradient noise (Perlin, SIGGRAPH 1985) in two octaves, float32 `[h, w]`, about -1 to 1."""
    return 0.7 * _octave(shape, cell, rng) + 0.3 * _octave(shape, cell / 2, rng)


def _octave(shape: tuple[int, ...], cell: float, rng: Rng) -> np.ndarray:
    height, width = shape[:2]
    offset = rng.random(2)
    y = (np.arange(height) / cell + offset[0])[:, None]
    x = (np.arange(width) / cell + offset[1])[None]
    row, column = y.astype(int), x.astype(int)
    angles = rng.uniform(0, 2 * np.pi, (int(row[-1, 0]) + 2, int(column[0, -1]) + 2))
    slopes = np.cos(angles), np.sin(angles)
    v, u = y - row, x - column

    def corner(dy: int, dx: int) -> np.ndarray:
        at = row + dy, column + dx
        return slopes[0][at] * (u - dx) + slopes[1][at] * (v - dy)

    def fade(t: np.ndarray) -> np.ndarray:
        return t**3 * (t * (6 * t - 15) + 10)

    above = corner(0, 0) + fade(u) * (corner(0, 1) - corner(0, 0))
    below = corner(1, 0) + fade(u) * (corner(1, 1) - corner(1, 0))
    return (np.sqrt(2) * (above + fade(v) * (below - above))).astype(np.float32)
