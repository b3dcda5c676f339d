"""The supply of synthetic images: whose, made from what, and what it says when there are none."""

import gc
from dataclasses import replace
from pathlib import Path

import pytest

from patchcore_dual.data.subsets import choose_defects
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.experiments.synthetic_source import (
    SyntheticSource,
    default_generator,
    own_images,
)


def made_by(generator, manifest, count):
    """Rows of images that a generator might have made."""
    like = manifest.part("train", "positive").samples[0]
    return [
        replace(
            like, image=f"synthetic/{i}", origin=generator, provenance={"parents": [like.image]}
        )
        for i in range(count)
    ]


def test_the_same_split_and_seed_give_the_same_bytes(tiles):
    def pixels(seed, manifest=tiles):
        supply = SyntheticSource(seed)
        made = supply(manifest, "cutpaste", 3)
        return [Path(s.image).read_bytes() for s in made]

    assert pixels(1) == pixels(1)
    assert pixels(1) != pixels(2)
    assert pixels(1, choose_defects(tiles, 1, (), 0)) != pixels(1)


def test_what_was_made_goes_with_its_supply(tiles):
    supply = SyntheticSource(0)
    (first,) = supply(tiles, "strokes", 1)
    (second,) = supply(tiles, "perlin", 1)
    assert second.origin == "perlin"
    assert Path(second.image).is_file()
    del supply
    gc.collect()
    assert not Path(second.image).parent.parent.exists()
    assert tiles.folder not in Path(first.image).parents


def test_own_images_are_taken_where_there_are_enough(tiles):
    manifest = tiles.where([*tiles, *made_by("poisson", tiles, 4)])
    assert [s.image for s in own_images(manifest, "poisson", 3)] == [
        f"synthetic/{i}" for i in range(3)
    ]
    assert own_images(manifest, "poisson", 5) == ()  # to be made
    assert own_images(manifest, "strokes", 1) == ()


def test_diag_cannot_be_made_on_the_way(tiles):
    with pytest.raises(DataError, match=r"has no images by diag .* augment --generator diag first"):
        own_images(tiles, "diag", 50)
    some = tiles.where([*tiles, *made_by("diag", tiles, 4)])
    with pytest.raises(DataError, match=r"has 4 images by diag .* and 50 are asked for"):
        SyntheticSource(0)(some, "diag", 50)
    assert len(SyntheticSource(0)(some, "diag", 4)) == 4


def test_what_cannot_be_made_is_told(tiles):
    with pytest.raises(SettingsError, match="no generator 'magic'; there are: poisson, "):
        own_images(tiles, "magic", 1)
    none = choose_defects(tiles, 0, (), 0)
    with pytest.raises(DataError, match="poisson takes surface from real defects"):
        own_images(none, "poisson", 1)


def test_the_default_is_diag_where_there_is_some_and_else_what_can_be_made(tiles):
    assert default_generator(tiles.where([*tiles, *made_by("diag", tiles, 1)])) == "diag"
    assert default_generator(tiles) == "poisson"
    assert default_generator(choose_defects(tiles, 0, (), 0)) != "poisson"
