import numpy as np
import pytest

from patchcore_dual.errors import DataError
from patchcore_dual.synthesis.generator import TargetMask
from patchcore_dual.synthesis.generators.poisson import Poisson
from patchcore_dual.synthesis.real_defects import RealDefect
from synthesis.generators_common import borrowed, drawn, grey_donor, grey_surface


def plain(level: int) -> np.ndarray:
    """A nearly flat grey surface."""
    noise = np.random.default_rng(level).integers(-2, 3, (128, 96, 1))
    return np.repeat((level + noise).astype(np.uint8), 3, 2)


def donor_on(level: int, defect: int) -> RealDefect:
    image = plain(level)
    mask = np.zeros((128, 96), bool)
    mask[60:66, 25:70] = True
    image[mask] = defect
    return RealDefect("donor.png", image, mask)


def shifted(donor: RealDefect, dx: int, dy: int) -> TargetMask:
    matrix = np.array([[1.0, 0, dx], [0, 1.0, dy]])
    pixels = np.zeros_like(donor.mask)
    pixels[57 + dy : 69 + dy, 22 + dx : 73 + dx] = True
    return TargetMask(pixels, donor=donor, matrix=matrix)


@pytest.mark.parametrize(("donor_level", "defect"), [(160, 80), (80, 40), (80, 120)])
@pytest.mark.parametrize("level", [60, 120])
def test_a_defects_contrast_arrives_whatever_the_brightness(level, donor_level, defect):
    donor = donor_on(donor_level, defect)
    normal = plain(level)
    made = Poisson().generate(normal, shifted(donor, 10, -20), seed=0)
    core = np.roll(donor.mask, (-20, 10), (0, 1))
    strength = made.provenance["strength"]
    expected = level * (1 + strength * (defect / donor_level - 1))
    assert made.image[core].mean() == pytest.approx(expected, abs=0.06 * level)


def test_the_defect_arrives_where_the_mask_is_and_nothing_but_it():
    donor = donor_on(150, 50)
    made = Poisson().generate(plain(150), shifted(donor, -12, 31), seed=0)
    core = np.roll(donor.mask, (31, -12), (0, 1))
    assert (made.mask & core).sum() / (made.mask | core).sum() > 0.85


def test_a_crack_one_pixel_wide_arrives():
    image, normal = plain(150), plain(140)
    mask = np.zeros((128, 96), bool)
    mask[60, 20:70] = True
    image[mask] = 30
    donor = RealDefect("thin.png", image, mask)
    made = Poisson().generate(normal, borrowed(donor, normal), seed=0)
    assert made.image[made.mask].min() < 90


def test_it_needs_a_real_defect():
    normal = grey_surface(1)
    with pytest.raises(DataError, match="needs a mask borrowed from a real defect"):
        Poisson().generate(normal, drawn(normal), seed=0)
    assert Poisson.needs_donor


def test_it_carries_the_donors_texture():
    """Correlated with the donor's pixels, unlike the good image's own."""
    donor, normal = grey_donor(), grey_surface(1)
    donor.image[donor.mask] = np.random.default_rng(0).integers(0, 90, (donor.mask.sum(), 1))
    mask = TargetMask(donor.mask, donor=donor, matrix=np.eye(2, 3))
    image = Poisson().generate(normal, mask, seed=0).image
    inner = np.s_[62:64, 34:66, 0]
    assert np.corrcoef(image[inner].ravel(), donor.image[inner].ravel())[0, 1] > 0.8
