import numpy as np
import pytest

from patchcore_dual.synthesis.contrast import contrast_for, measured_contrast
from patchcore_dual.synthesis.generator import AskedMask, RealDefect
from patchcore_dual.synthesis.strokes import Strokes


def plain(level: int, spread: int = 4) -> np.ndarray:
    noise = np.random.default_rng(level).integers(-spread, spread + 1, (128, 96, 1))
    return np.repeat((level + noise).astype(np.uint8), 3, 2)


def donor_with(level: int, factor: float) -> RealDefect:
    image = plain(level)
    mask = np.zeros((128, 96), bool)
    mask[60:66, 20:70] = True
    image[mask] = np.rint(image[mask] * factor).astype(np.uint8)
    return RealDefect("donor.png", image, mask)


def asked(donor: RealDefect | None = None, kind: str = "scratch") -> AskedMask:
    pixels = np.zeros((128, 96), bool)
    pixels[57:69, 17:73] = True
    matrix = None if donor is None else np.eye(2, 3)
    return AskedMask(pixels, kind, donor, matrix)


@pytest.mark.parametrize("factor", [0.4, 0.7, 1.3])
def test_contrast_is_measured_against_the_surroundings(factor):
    for level in (60, 150):
        measured = measured_contrast(donor_with(level, factor))
        assert np.median(measured) == pytest.approx(np.log(factor), abs=0.05)


def test_what_a_surface_varies_by_is_no_contrast():
    image = plain(128, 40)
    mask = np.zeros((128, 96), bool)
    mask[40:60, 20:70] = True
    assert np.abs(measured_contrast(RealDefect("none.png", image, mask))).max() < 0.08


@pytest.mark.parametrize("factor", [0.45, 1.35])
def test_a_stroke_has_the_donors_contrast(factor):
    normal = plain(110)
    donor = donor_with(70, factor)
    for seed in range(4):
        made = Strokes().generate(normal, asked(donor), seed)
        core = np.s_[62:64, 30:60]
        change = np.log(made.image[core].astype(float) / normal[core]).mean()
        assert 0.6 < change / np.log(factor) < 1.4


def test_the_surface_is_kept_under_the_stroke():
    """Multiplied, not painted over: fine structure is still there, dimmed."""
    normal = plain(128, 40)
    made = Strokes().generate(normal, asked(donor_with(120, 0.5)), seed=1)
    core = np.s_[62:64, 22:68, 0]
    assert np.corrcoef(normal[core].ravel(), made.image[core].ravel())[0, 1] > 0.6


def test_drawn_cracks_are_dark_and_scratches_of_both_kinds():
    under = plain(120)
    signs = {
        kind: {
            float(np.sign(contrast_for(asked(None, kind), under, np.random.default_rng(s))[-1]))
            for s in range(30)
        }
        for kind in ("crack", "scratch")
    }
    assert signs == {"crack": {-1.0}, "scratch": {-1.0, 1.0}}


def test_no_contrast_too_faint_to_be_seen_and_none_that_white_has_no_room_for():
    faint = donor_with(120, 0.99)
    rough = plain(120, 40)
    assert np.abs(contrast_for(asked(faint), rough, np.random.default_rng(0))).mean() > 0.15
    bright = donor_with(120, 1.4)
    assert contrast_for(asked(bright), plain(120), np.random.default_rng(0))[-1] > 0.2
    assert contrast_for(asked(bright), plain(245), np.random.default_rng(0))[-1] < -0.1
