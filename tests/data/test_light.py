"""Changes of light, against their formulas, and the variants of an image that lie in no file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from patchcore_dual.data.light import (
    CHANGES,
    DESCRIPTIONS,
    LightPlan,
    change_light,
    variant,
    with_variants,
    without_change,
)
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.errors import SettingsError

changes = st.sampled_from(sorted(CHANGES))


def picture(seed=0, height=20, width=30):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(changes, st.integers(0, 1000))
def test_strength_0_changes_nothing(change, seed):
    assert (change_light(picture(), change, strength=0, seed=seed) == picture()).all()


@given(changes, st.floats(0.1, 3), st.integers(0, 1000))
def test_a_seed_gives_the_same_pixels_and_the_image_stays(change, strength, seed):
    image = picture()
    one, again = (change_light(image, change, strength=strength, seed=seed) for _ in range(2))
    assert (one == again).all()
    assert one.dtype == np.uint8
    assert one.shape == image.shape
    assert (image == picture()).all()


@pytest.mark.parametrize(
    ("change", "formula"),
    [
        ("darker", lambda x: 0.9 * x),
        ("brighter", lambda x: 1.1 * x),
        ("offset-down", lambda x: x - 10),
        ("offset-up", lambda x: x + 10),
        ("gamma-0.8", lambda x: 255 * (x / 255) ** 0.8),
        ("gamma-1.25", lambda x: 255 * (x / 255) ** 1.25),
        ("blur", lambda x: gaussian_filter(x, (1, 1, 0), mode="mirror", truncate=3)),
    ],
)
def test_formulas(change, formula):
    expected = np.clip(formula(picture().astype(np.float64)), 0, 255)
    assert np.abs(change_light(picture(), change) - expected).max() <= 1


@given(st.integers(0, 1000))
def test_shading_is_a_gradient_of_at_most_10_per_cent(seed):
    ratio = change_light(np.full((40, 60, 3), 200, np.uint8), "shading", seed=seed) / 200
    assert 0.895 <= ratio.min() < 0.97
    assert 1.03 < ratio.max() <= 1.105
    steps = np.abs(np.diff(ratio, axis=0)).max(), np.abs(np.diff(ratio, axis=1)).max()
    assert max(steps) < 0.03


def test_colours_go_one_way_or_the_other():
    grey = np.full((4, 4, 3), 100, np.uint8)
    seen = {tuple(change_light(grey, "colour", seed=seed)[0, 0].tolist()) for seed in range(20)}
    assert seen == {(110, 100, 90), (90, 100, 110)}


def test_what_is_refused():
    with pytest.raises(SettingsError, match="'dark'; use darker, brighter"):
        change_light(picture(), "dark")
    for strength in (-1, float("nan")):
        with pytest.raises(SettingsError, match="0 or more"):
            change_light(picture(), "darker", strength=strength)


def test_every_change_has_a_description():
    assert DESCRIPTIONS.keys() == CHANGES.keys()


def test_a_variant_is_read_from_the_file_of_its_image(tmp_path):
    write_png(tmp_path / "7.png", picture())
    sample = Sample("7.png", "", "negative", "train", group="lot 1")
    darker = variant(sample, "darker")
    manifest = Manifest(tmp_path, (sample, darker))
    assert manifest.image_path(darker) == tmp_path / "7.png"
    assert (manifest.read_image(darker) == change_light(picture(), "darker")).all()
    assert darker.group == "lot 1"
    assert manifest.with_offspring({"7.png"}) == {"7.png", "7.png#darker"}
    small = manifest.at_size(15, 10)
    assert (small.read_image(darker) == change_light(small.read_image(sample), "darker")).all()


def test_a_file_may_be_called_like_a_variant(tmp_path):
    name = "7.png#darker"
    write_png(tmp_path / "other.png", picture(1))
    Path(tmp_path / "other.png").rename(tmp_path / name)
    sample = Sample(name, "", "negative", "train")
    manifest = Manifest(tmp_path, (sample,))
    assert (manifest.read_image(sample) == read_image(tmp_path / name)).all()
    assert with_variants({name: sample}, [name]) == {}


@given(st.integers(1, 9), st.integers(0, 12), st.integers(0, 5))
def test_changes_are_dealt_evenly_and_no_image_has_one_twice(n, each, images):
    plan = LightPlan(tuple(CHANGES)[:n], each)
    samples = [Sample(f"{i}.png", "", "negative", "train") for i in range(images)]
    made = plan.variants(samples)
    assert len({one.image for one in made}) == len(made) == images * min(n, each)
    assert bool(plan) == (each > 0)
    counts = [sum(one.image.endswith(f"#{change}") for one in made) for change in plan.changes]
    assert max(counts) - min(counts) <= 1
    assert all(without_change(one.image) in one.parents for one in made)
