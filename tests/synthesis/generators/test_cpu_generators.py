"""What all four CPU generators promise."""

import json

import numpy as np
import pytest

from patchcore_dual.synthesis.generator import Generator, SyntheticDefect, UnusableDefectError
from patchcore_dual.synthesis.generators.cutpaste import CutPaste
from patchcore_dual.synthesis.generators.perlin import Perlin
from patchcore_dual.synthesis.generators.poisson import Poisson
from patchcore_dual.synthesis.generators.strokes import Strokes
from synthesis.generators_common import (
    borrowed,
    drawn,
    good_metal,
    grey_donor,
    grey_surface,
    metal_donor,
)

GENERATORS = (Poisson(), CutPaste(), Perlin(), Strokes())
BY_NAME = pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: g.name)


def asked(generator: Generator, source: str):
    if source == "grey":
        normal = grey_surface(1)
        return normal, borrowed(grey_donor(), normal, seed=2)
    normal = good_metal()
    if source == "drawn" and not generator.needs_donor:
        return normal, drawn(normal, seed=2)
    return normal, borrowed(metal_donor(), normal, seed=2)


@BY_NAME
@pytest.mark.parametrize("source", ["grey", "colour", "drawn"])
def test_nothing_changes_outside_the_asked_mask_and_the_mask_is_what_changed(generator, source):
    normal, mask = asked(generator, source)
    before = normal.copy()
    made = generator.generate(normal, mask, seed=3)
    assert np.array_equal(normal, before)
    assert made.image.dtype == np.uint8
    assert np.array_equal(made.image[~mask.pixels], normal[~mask.pixels])
    assert not (made.mask & ~mask.pixels).any()
    changed = np.abs(made.image.astype(int) - normal).max(2)
    assert made.mask.sum() >= 8
    left_out = changed[mask.pixels & ~made.mask]
    assert changed[made.mask].mean() > 2 * (left_out.mean() if left_out.size else 0)


@BY_NAME
def test_a_seed_gives_the_same_bytes_and_another_seed_other_pixels(generator):
    normal, mask = asked(generator, "colour")
    one, again, other = (generator.generate(normal, mask, seed) for seed in (5, 5, 6))
    assert one.image.tobytes() == again.image.tobytes()
    assert one.mask.tobytes() == again.mask.tobytes()
    assert one.provenance == again.provenance
    assert not np.array_equal(one.image, other.image)


@pytest.mark.parametrize(
    ("generator", "pixels", "level", "parameters"),
    [
        (Poisson(), 136, 145.91, {"strength": 0.88}),
        (CutPaste(), 399, 161.83, {"darkest": -0.7521, "brightest": 0.0645}),
        (Perlin(), 304, 162.27, {"cell": 7.77, "zoom": 1.4431, "rough": 0.92, "opacity": 0.8217}),
        (Strokes(), 111, 134.86, {"darkest": -0.7521, "brightest": 0.0645}),
    ],
)
def test_a_seed_gives_the_same_defect_in_every_version(generator, pixels, level, parameters):
    """Sets that users have begun can only grow if random numbers are drawn in the same order."""
    normal, mask = asked(generator, "colour")
    made = generator.generate(normal, mask, seed=3)
    assert made.mask.sum() == pytest.approx(pixels, abs=2)
    assert made.image[made.mask].mean() == pytest.approx(level, abs=0.5)
    assert {k: made.provenance[k] for k in parameters} == pytest.approx(parameters, abs=2e-4)


@BY_NAME
def test_grey_images_stay_grey(generator):
    normal, mask = asked(generator, "grey")
    for seed in range(6):
        image = generator.generate(normal, mask, seed).image
        assert np.array_equal(image[..., 0], image[..., 1])
        assert np.array_equal(image[..., 0], image[..., 2])


@BY_NAME
def test_provenance_is_plain_json(generator):
    normal, mask = asked(generator, "colour")
    made: SyntheticDefect = generator.generate(normal, mask, seed=1)
    noted = json.loads(json.dumps(made.provenance))
    assert noted == made.provenance
    assert noted["generator"] == generator.name
    assert noted["seed"] == 1
    assert json.loads(json.dumps(mask.provenance)) == mask.provenance


@BY_NAME
@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_mask_at_the_border_of_the_picture(generator, side):
    """OpenCV's seamless cloning moves or loses what touches a border."""
    donor = grey_donor()
    normal = grey_surface(1)
    y, x = np.nonzero(donor.mask)
    shift = {"left": (-x.min(), 0), "right": (95 - x.max(), 0)}
    shift |= {"top": (0, -y.min()), "bottom": (0, 127 - y.max())}
    dx, dy = shift[side]
    mask = borrowed(donor, normal)
    pixels = np.zeros_like(mask.pixels)
    rows = slice(max(y.min() + dy - 3, 0), y.max() + dy + 4)
    columns = slice(max(x.min() + dx - 3, 0), x.max() + dx + 4)
    pixels[rows, columns] = True
    at_border = type(mask)(pixels, "", donor, np.array([[1.0, 0, dx], [0, 1.0, dy]]))
    made = generator.generate(normal, at_border, seed=0)
    assert np.array_equal(made.image[~pixels], normal[~pixels])
    core = np.zeros_like(pixels)
    core[y + dy, x + dx] = True
    assert (made.mask & core).sum() > 0.5 * core.sum()


@BY_NAME
def test_a_mask_too_small_to_see_is_refused(generator):
    normal, mask = asked(generator, "grey")
    speck = np.zeros_like(mask.pixels)
    speck[tuple(np.argwhere(mask.pixels)[0])] = True
    tiny = type(mask)(speck, mask.kind, mask.donor, mask.matrix)
    with pytest.raises(UnusableDefectError):
        generator.generate(normal, tiny, seed=0)


@BY_NAME
def test_a_flat_black_and_a_flat_white_image_break_nothing(generator):
    for level in (0, 255):
        normal = np.full((128, 96, 3), level, np.uint8)
        mask = borrowed(grey_donor(), normal)
        try:
            image = generator.generate(normal, mask, seed=0).image
        except UnusableDefectError:
            continue  # multiplying black leaves it black
        assert np.array_equal(image[~mask.pixels], normal[~mask.pixels])
