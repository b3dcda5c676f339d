"""`Perlin`: thresholded Perlin noise, filled with the image's own surface, perturbed.

The shape is that of DRAEM (Zavrtanik et al., ICCV 2021) and MemSeg (Yang et al., 2022), cut out
of the asked mask. Their outside texture data set is not used: what fills it is MemSeg's
structural perturbation (surface cut elsewhere, its tiles shuffled) or noise of the surface's own
contrast.
"""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.synthesis.contrast import contrast_for
from patchcore_dual.synthesis.generator import AskedMask, Generator, SyntheticDefect, changed_mask
from patchcore_dual.synthesis.masks import Window, defect_within, window_around
from patchcore_dual.synthesis.textures import composed, elsewhere, jittered, shuffled, soft_edge

TOLERANCE = 4.0  # grey levels


@dataclass(frozen=True)
class Perlin(Generator):
    """Blends two thirds to all of the texture into 70 to 97 % of the asked mask."""

    name: ClassVar[str] = "perlin"

    def generate(self, normal: np.ndarray, mask: AskedMask, seed: int) -> SyntheticDefect:
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, 0)
        shape = defect_within(mask, window)
        cell = float(np.clip(np.sqrt(shape.sum()) * rng.uniform(0.5, 1.5), 8, 96))
        noise = perlin_noise(shape.shape, cell, rng)
        kept = float(rng.uniform(0.7, 0.97))
        # As much of the shape as asked for, wherever the noise is highest; fading at its edge.
        edge = np.quantile(noise[shape], 1 - kept)
        share = np.clip((noise - edge) / rng.uniform(0.08, 0.35), 0, 1)[..., None]
        opacity = float(rng.uniform(0.65, 1))
        gain = float(np.exp(contrast_for(mask, normal[window], rng)[rng.integers(7, 10)]))
        filling = str(rng.choice(("shuffled", "noise")))
        fill = _shuffled_surface if filling == "shuffled" else _noisy_surface
        texture = jittered(fill(normal, window, rng), normal, gain, rng)
        image = composed(normal, window, texture, opacity * share * soft_edge(shape, 1.8))
        return SyntheticDefect(
            image=image,
            mask=changed_mask(normal, image, mask.pixels, TOLERANCE),
            provenance={
                "generator": self.name,
                "seed": seed,
                "filling": filling,
                "cell": round(cell, 2),
                "kept": round(kept, 4),
                "opacity": round(opacity, 4),
                "gain": round(gain, 4),
            },
        )


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


def _shuffled_surface(normal: np.ndarray, window: Window, rng: Rng) -> np.ndarray:
    """The fine structure of surface cut elsewhere, shuffled, on the tone of this place.

    Without its tone, because tiles of different tones show their corners.
    """
    _, structure = _tone_and_structure(
        elsewhere(normal, window, float(rng.uniform(-180, 180)), rng)
    )
    tone, _ = _tone_and_structure(normal[window])
    return tone + shuffled(structure, int(rng.integers(5, 13)), rng)


def _noisy_surface(normal: np.ndarray, window: Window, rng: Rng) -> np.ndarray:
    """Fine noise of this surface's own contrast on its tone."""
    tone, structure = _tone_and_structure(normal[window])
    noise = perlin_noise(tone.shape, float(rng.uniform(1.5, 3)), rng)
    return tone + 4 * structure.std() * noise[..., None]


def _tone_and_structure(surface: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32: what of a surface varies over more than a few pixels, and the rest."""
    tone = cv2.GaussianBlur(surface.astype(np.float32), (0, 0), 4)
    return tone, surface - tone
