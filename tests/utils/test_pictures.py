"""Pictures as JPEG text and PNG bytes: size, colour order, exactness."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageFont

from patchcore_dual.utils.pictures import drawable, jpeg_base64, png_bytes


@pytest.mark.parametrize(
    ("size", "largest", "expected"),
    [
        ((300, 100), (150, 150), (150, 50)),
        ((300, 100), (400, 25), (75, 25)),
        ((30, 10), (150, 150), (30, 10)),  # never enlarged
        ((1000, 1), (10, 10), (10, 1)),
    ],
)
def test_a_jpeg_is_shrunk_to_fit_and_keeps_its_colours(size, largest, expected):
    picture = np.full((size[1], size[0], 3), (200, 30, 60), np.uint8)
    data = base64.b64decode(jpeg_base64(picture, largest))
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == ("JPEG", expected)
    assert np.abs(np.asarray(image).astype(int) - (200, 30, 60)).max() < 8


def test_a_lower_quality_is_smaller():
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    sizes = [len(jpeg_base64(picture, (64, 64), quality)) for quality in (30, 82, 95)]
    assert sizes == sorted(set(sizes))


def test_a_png_is_exact():
    picture = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(picture)))), picture)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scratch/0001.png…", "scratch/0001.png…"),
        ("Riß groß/Prüfling é.jpg", "Riss gross/Prufling e.jpg"),
        ("Łódź øre Ægir", "Lodz ore AEgir"),
        ("中/1.png", "\\u4e2d/1.png"),
    ],
)
def test_letters_that_the_font_of_pictures_lacks_are_written_in_others(text, expected):
    assert drawable(text) == expected
    font = ImageFont.load_default(13)
    box = bytes(font.getmask("\ufffe"))  # what the font draws in place of a letter it lacks
    assert all(bytes(font.getmask(letter)) != box for letter in drawable(text) if letter != " ")
