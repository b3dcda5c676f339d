"""`Perlin`: a shape with the outline of Perlin noise, filled with a disturbed surface.

After DRAEM (Zavrtanik et al., ICCV 2021) and MemSeg (Yang et al., 2022), cut out of the asked
mask. Their outside texture data set is not used: what fills the shape is the image's own surface
from elsewhere, coarser and rougher or smoother than here.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.synthesis.generator import AskedMask, Generator, SyntheticDefect, changed_mask
from patchcore_dual.synthesis.generators.light import depth_of, light_for
from patchcore_dual.synthesis.generators.textures import (
    composed,
    elsewhere,
    feather,
    half_width,
    retoned,
    tinted,
    tone,
)
from patchcore_dual.synthesis.masks.borrowed import window_around

TOLERANCE = 4.0  # grey levels
MIDDLE = 0.65  # of the depth of a shape, which noise never cuts through
WIDE = 6.0  # pixels from the middle to the rim of a shape at which noise eats fully


@dataclass(frozen=True)
class Perlin(Generator):
    """Blends half to all of the texture in, darkened and brightened as a real defect is."""

    name: ClassVar[str] = "perlin"

    def generate(self, normal: np.ndarray, mask: AskedMask, seed: int) -> SyntheticDefect:
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, 1)
        asked, under = mask.pixels[window], normal[window]
        cell = float(np.clip(np.sqrt(asked.sum()) * rng.uniform(0.3, 0.8), 6, 48))
        noise = perlin_noise(asked.shape, cell, rng)
        share = _share(asked, noise, rng)[..., None] * feather(asked)
        light = light_for(mask, normal, window, rng) * (1 + 0.4 * noise)
        zoom = float(rng.uniform(1.1, 1.5))
        rough = float(rng.uniform(0.6, 1.1))
        opacity = float(rng.uniform(0.5, 1))
        texture = _roughened(retoned(elsewhere(normal, window, zoom, rng), under), under, rough)
        filled = under + opacity * (texture - under)
        lit = tinted(filled, normal, rng) * np.exp(light)[..., None]
        image = composed(normal, window, lit, share)
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
    """float32 `[h, w, 3]`: a texture whose structure is so many times as strong as that here."""
    here, there = (a - tone(a) for a in (under, texture))
    return tone(texture) + there * np.float32(rough * here.std() / max(there.std(), 1e-3))


def _share(shape: np.ndarray, noise: np.ndarray, rng: Rng) -> np.ndarray:
    """float32 `[h, w]`, 0..1: noise eats at the rim of a shape and leaves its middle in one piece.

    Thresholded alone, noise would cut a crack into dashes; at a hairline it does not eat at all.
    """
    most = float(rng.uniform(0.4, 1)) * MIDDLE * min(half_width(shape) / WIDE, 1)
    eaten = most * np.clip(0.5 - noise, 0, 1)
    return np.clip((depth_of(shape) - eaten) / (1 - MIDDLE), 0, 1).astype(np.float32)


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
