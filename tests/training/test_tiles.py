"""Tiles that do not fit the images are refused before anything is computed."""

import logging

import pytest

from patchcore_dual.errors import SettingsError
from patchcore_dual.features import EmbedderSpec
from patchcore_dual.settings import Settings
from patchcore_dual.training.tiles import check_tiles


class Unused:
    spec = EmbedderSpec("unused", (2, 3), (4, 4), stride=16, resolutions=(1, 2))

    def __call__(self, images):
        raise AssertionError("nothing is to be embedded")


def test_a_tile_larger_than_the_images(prepared):
    with pytest.raises(SettingsError, match="80x64 is larger than the images, which are 64x96"):
        check_tiles(Unused(), Settings(tile=(80, 64)), prepared)


def test_images_too_large_for_one_pass(prepared):
    large = prepared.at_size(8192, 4096)
    with pytest.raises(SettingsError, match=r"34 megapixels.*--tile 1024x1024"):
        check_tiles(Unused(), Settings(), large)


def test_tiles_are_said_to_be_rounded_up(prepared, caplog):
    with caplog.at_level(logging.INFO):
        check_tiles(Unused(), Settings(tile=(64, 96), overlap=20), prepared)
    assert "Tiles of 64x96 pixels that overlap by 32" in caplog.text


@pytest.mark.parametrize("settings", [Settings(), Settings(tile=(64, 96), overlap=32)])
def test_nothing_is_said_of_others(prepared, caplog, settings):
    with caplog.at_level(logging.INFO):
        check_tiles(Unused(), settings, prepared)
    assert not caplog.text
