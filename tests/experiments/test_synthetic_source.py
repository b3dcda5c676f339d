"""Synthetic images: taken or made, from which parents, and the errors where neither is possible."""

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
        source = SyntheticSource(seed)
        made = source(manifest, "cutpaste", 3)
        return [Path(s.image).read_bytes() for s in made]

    assert pixels(1) == pixels(1)
    assert pixels(1) != pixels(2)
    assert pixels(1, choose_defects(tiles, 1, (), 0)) != pixels(1)


def test_images_that_were_made_are_removed_with_their_source(tiles):
    source = SyntheticSource(0)
    (first,) = source(tiles, "strokes", 1)
    (second,) = source(tiles, "perlin", 1)
    assert second.origin == "perlin"
    assert Path(second.image).is_file()
    del source
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


def test_diag_cannot_be_made_during_a_trial(tiles):
    with pytest.raises(DataError, match=r"has no images by diag .* augment diag first"):
        own_images(tiles, "diag", 50)
    some = tiles.where([*tiles, *made_by("diag", tiles, 4)])
    with pytest.raises(DataError, match=r"has 4 images by diag .* and 50 are needed"):
        SyntheticSource(0)(some, "diag", 50)
    assert len(SyntheticSource(0)(some, "diag", 4)) == 4


def test_images_that_cannot_be_made_are_an_error(tiles):
    with pytest.raises(SettingsError, match="no generator 'magic'; there are: poisson, "):
        own_images(tiles, "magic", 1)
    none = choose_defects(tiles, 0, (), 0)
    with pytest.raises(DataError, match="poisson takes surface from real defects"):
        own_images(none, "poisson", 1)


def test_the_default_is_diag_where_there_is_some_and_else_what_can_be_made(tiles):
    assert default_generator(tiles.where([*tiles, *made_by("diag", tiles, 1)])) == "diag"
    assert default_generator(tiles) == "poisson"
    assert default_generator(choose_defects(tiles, 0, (), 0)) != "poisson"
