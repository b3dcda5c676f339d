import numpy as np
import pytest

from patchcore_dual.synthesis.generator import TargetMask
from patchcore_dual.synthesis.generators.brightness import (
    brightness_change,
    draw_brightness_change,
    measure_brightness_change,
)
from patchcore_dual.synthesis.generators.strokes import Strokes
from patchcore_dual.synthesis.real_defects import RealDefect


def plain(level: int, spread: int = 4) -> np.ndarray:
    noise = np.random.default_rng(level).integers(-spread, spread + 1, (128, 96, 1))
    return np.repeat((level + noise).astype(np.uint8), 3, 2)


def donor_with(level: int, factor: float) -> RealDefect:
    image = plain(level)
    mask = np.zeros((128, 96), bool)
    mask[60:66, 20:70] = True
    image[mask] = np.rint(image[mask] * factor).astype(np.uint8)
    return RealDefect("donor.png", image, mask)


def asked(donor: RealDefect | None = None, kind: str = "scratch") -> TargetMask:
    pixels = np.zeros((128, 96), bool)
    pixels[57:69, 17:73] = True
    matrix = None if donor is None else np.eye(2, 3)
    return TargetMask(pixels, kind, donor, matrix)


WINDOW = slice(56, 70), slice(16, 74)


@pytest.mark.parametrize("factor", [0.4, 0.7, 1.3])
def test_light_is_measured_against_the_surroundings(factor):
    for level in (60, 150):
        light, window = measure_brightness_change(donor_with(level, factor))
        row, column = 62 - window[0].start, 45 - window[1].start
        measured = light[row : row + 2, column - 15 : column + 15]
        assert np.median(measured) == pytest.approx(np.log(factor), abs=0.06)
        assert np.abs(light[: row - 8]).max() < 0.02


def test_what_a_surface_varies_by_is_no_light():
    image = plain(128, 40)
    mask = np.zeros((128, 96), bool)
    mask[40:60, 20:70] = True
    light, _ = measure_brightness_change(RealDefect("none.png", image, mask))
    assert np.abs(light).max() < 0.1


def test_dark_and_bright_parts_of_a_real_defect_arrive_where_they_are_in_it():
    donor = donor_with(120, 0.5)
    donor.image[63:66, 20:70] = 180
    light = brightness_change(asked(donor), plain(120), WINDOW, np.random.default_rng(0))
    dark, bright = light[60 - 56 : 62 - 56, 10:50], light[64 - 56 : 66 - 56, 10:50]
    assert dark.mean() < -0.25
    assert bright.mean() > 0.15


def test_a_wide_region_is_shaded_softly_and_unevenly():
    """No flat patch with a cut edge."""
    pixels = np.zeros((128, 96), bool)
    pixels[20:100, 15:85] = True
    light = draw_brightness_change(pixels, "crack", np.random.default_rng(1))
    assert np.abs(np.diff(light, axis=1)).max() < 0.25 * np.abs(light).max()
    assert light[40:80, 35:65].std() > 0.03 * np.abs(light).max()


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
    shape = asked().pixels
    signs = {
        kind: {
            float(np.sign(draw_brightness_change(shape, kind, np.random.default_rng(s))[62, 45]))
            for s in range(30)
        }
        for kind in ("crack", "scratch")
    }
    assert signs == {"crack": {-1.0}, "scratch": {-1.0, 1.0}}


def test_no_light_too_faint_to_be_seen_and_none_that_white_has_no_room_for():
    def strongest(donor: RealDefect, normal: np.ndarray) -> float:
        light = brightness_change(asked(donor), normal, WINDOW, np.random.default_rng(0))
        return float(light.flat[np.abs(light).argmax()])

    assert abs(strongest(donor_with(120, 0.99), plain(120, 40))) > 0.2
    bright = donor_with(120, 1.4)
    assert strongest(bright, plain(120)) > 0.2
    assert strongest(bright, plain(245)) < -0.1
