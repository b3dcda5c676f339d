import numpy as np
import pytest

from patchcore_dual.synthesis.generator import AskedMask
from patchcore_dual.synthesis.perlin import Perlin, perlin_noise
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
def test_a_part_of_the_asked_mask_changes(seed):
    normal = grey_surface(1)
    pixels = np.zeros((128, 96), bool)
    pixels[30:90, 20:80] = True
    made = Perlin().generate(normal, AskedMask(pixels, "spot"), seed)
    share = made.mask.sum() / pixels.sum()
    assert 0.25 < share < made.provenance["kept"] + 0.1


def test_both_fillings_are_used():
    normal = grey_surface(1)
    pixels = np.zeros((128, 96), bool)
    pixels[30:60, 20:60] = True
    made = [Perlin().generate(normal, AskedMask(pixels, "spot"), s) for s in range(12)]
    assert {m.provenance["filling"] for m in made} == {"shuffled", "noise"}
