import cv2
import numpy as np
import pytest

from patchcore_dual.synthesis.generator import TargetMask
from patchcore_dual.synthesis.generators.perlin import Perlin, perlin_noise
from synthesis.generators_common import grey_surface


def test_noise_is_zero_mean_smooth_and_of_the_size_asked_for():
    fields = [perlin_noise((60, 90), 12, np.random.default_rng(s)) for s in range(40)]
    assert fields[0].shape == (60, 90)
    assert fields[0].dtype == np.float32
    assert np.abs(np.mean(fields)) < 0.02
    assert 0.15 < np.std(fields) < 0.5
    assert max(np.abs(np.diff(f, axis=1)).max() for f in fields) < 0.4
    assert max(np.abs(f).max() for f in fields) <= 1.2


def test_gradient_noise_vanishes_at_its_grid_points():
    """Perlin's own check; the octave of half the cell shares every grid point."""

    class Aligned:
        def __init__(self) -> None:
            self.rng = np.random.default_rng(3)

        def random(self, n: int) -> np.ndarray:
            return np.zeros(n)

        def uniform(self, *args: object) -> np.ndarray:
            return self.rng.uniform(*args)

    noise = perlin_noise((33, 49), 8, Aligned())
    assert np.abs(noise[::8, ::8]).max() < 1e-6
    assert np.abs(noise).max() > 0.2


@pytest.mark.parametrize("seed", range(8))
def test_the_rim_of_a_wide_mask_is_eaten_at_and_its_middle_never(seed):
    normal = grey_surface(1)
    pixels = np.zeros((128, 96), bool)
    pixels[30:90, 20:80] = True
    made = Perlin().generate(normal, TargetMask(pixels, "spot"), seed)
    assert 0.25 < made.mask.sum() / pixels.sum() < 0.97
    assert made.mask[50:70, 40:60].mean() > 0.9


@pytest.mark.parametrize("seed", range(8))
def test_a_crack_stays_in_one_piece(seed):
    normal = np.full((128, 160, 3), 140, np.uint8)
    pixels = np.zeros((128, 160), bool)
    pixels[60:68, 15:145] = True
    made = Perlin().generate(normal, TargetMask(pixels, "crack"), seed)
    pieces, _ = cv2.connectedComponents(made.mask.astype(np.uint8))
    assert pieces - 1 == 1
    assert made.mask[:, 25:135].any(axis=0).all()
