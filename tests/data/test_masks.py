"""Masks as people and tools make them: two defects of 200 pixels each, in every disguise."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from patchcore_dual.data.mask_rule import PUBLISHED, MaskRule
from patchcore_dual.data.mask_values import MAX_DISTINCT
from patchcore_dual.data.masks import (
    read_mask,
    read_prepared_mask,
    read_source_mask,
)
from patchcore_dual.data.reading import write_png
from patchcore_dual.errors import DataError, ImageError

LABELS = np.zeros((60, 80), np.uint8)
LABELS[10:20, 10:30] = 1
LABELS[40:50, 50:70] = 2
MARKED = LABELS > 0


def voc_palette() -> list[int]:
    colours = []
    for label in range(256):
        rgb = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                rgb[channel] |= (label >> (3 * bit + channel) & 1) << (7 - bit)
        colours += rgb
    return colours


def grey(background: int, first: int, second: int) -> Image.Image:
    return Image.fromarray(np.choose(LABELS, (background, first, second)).astype(np.uint8))


def rgb(
    first: tuple[int, ...],
    second: tuple[int, ...],
    background: tuple[int, ...] = (0, 0, 0),
) -> Image.Image:
    colours = np.array([background, first, second], np.uint8)
    return Image.fromarray(colours[LABELS])


def palette(first: int, second: int, colours: list[int]) -> Image.Image:
    labels = np.choose(LABELS, (0, first, second)).astype(np.uint8)
    image = Image.frombytes("P", (80, 60), labels.tobytes())
    image.putpalette(colours)
    return image


def with_alpha(colour: NDArray[np.uint8], alpha: NDArray[np.bool_] | int) -> Image.Image:
    opacity = np.broadcast_to(
        np.asarray(alpha, np.uint8) * (255 if np.ndim(alpha) else 1), (60, 80)
    )
    return Image.fromarray(np.dstack([colour, opacity]))


BLACK = np.zeros((60, 80, 3), np.uint8)
WHITE_PAINT = np.dstack([MARKED.astype(np.uint8) * 255] * 3)
SIXTEEN = np.choose(LABELS, (0, 1, 40000)).astype(np.uint16)

EXACT: dict[str, Callable[[], Image.Image]] = {
    "white": lambda: grey(0, 255, 255),
    "labels 1 and 2": lambda: grey(0, 1, 2),
    "grey 100 beside 255": lambda: grey(0, 100, 255),
    "labels 1 and 200": lambda: grey(0, 1, 200),
    "127 beside 128": lambda: grey(0, 127, 128),
    "one bit": lambda: grey(0, 255, 255).convert("1"),
    "16-bit with two values": lambda: Image.fromarray(SIXTEEN),
    "16-bit labels": lambda: Image.fromarray(LABELS.astype(np.uint16)),
    "32-bit labels": lambda: Image.fromarray(LABELS.astype(np.int32) * 70000),
    "cyan and red": lambda: rgb((51, 221, 255), (250, 50, 83)),
    "red and yellow": lambda: rgb((255, 0, 0), (255, 255, 0)),
    "dark blue and green": lambda: rgb((0, 0, 90), (0, 255, 0)),
    "red on green": lambda: rgb((255, 0, 0), (200, 0, 0), (0, 120, 0)),
    "VOC palette": lambda: palette(1, 7, voc_palette()),
    "palette of one colour": lambda: palette(1, 2, [0] * 768),
    "black on white": lambda: grey(255, 0, 0),
    "grey on white": lambda: grey(255, 200, 0),
    "black on white, one bit": lambda: grey(255, 0, 0).convert("1"),
    "black paint on transparent": lambda: with_alpha(BLACK, MARKED),
    "white paint on transparent": lambda: with_alpha(WHITE_PAINT, MARKED),
    "paint hidden by alpha 0": lambda: with_alpha(WHITE_PAINT, 0),
    "faint paint": lambda: with_alpha(WHITE_PAINT, 60),
    "paint cut out of black": lambda: with_alpha(BLACK, ~MARKED),
    "grey with alpha": lambda: with_alpha(WHITE_PAINT, MARKED).convert("LA"),
}


@pytest.mark.parametrize("name", EXACT)
def test_every_marked_pixel_of_a_lossless_mask_counts(name: str, tmp_path: Path) -> None:
    image = EXACT[name]()
    path = tmp_path / ("m.tif" if image.mode == "I" else "m.png")
    image.save(path)
    assert np.array_equal(read_mask(path), MARKED)


@pytest.mark.parametrize("suffix", ["bmp", "tif", "gif", "tga", "pgm", "jp2", "webp"])
def test_every_marked_pixel_counts_in_every_lossless_format(suffix: str, tmp_path: Path) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    grey(0, 100, 255).save(tmp_path / f"m.{suffix}", **options)
    assert np.array_equal(read_mask(tmp_path / f"m.{suffix}"), MARKED)


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize(
    "image",
    [
        grey(0, 255, 255),
        grey(0, 100, 100),
        grey(0, 60, 255),
        grey(255, 0, 0),
        rgb((255, 0, 0), (255, 0, 0)),
        rgb((0, 0, 255), (255, 255, 0)),
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_compressed_masks_keep_dark_marks_and_lose_the_noise(
    image: Image.Image, quality: int, suffix: str, tmp_path: Path
) -> None:
    image.save(tmp_path / f"m.{suffix}", quality=quality)
    mask = read_mask(tmp_path / f"m.{suffix}")
    inside = np.asarray(Image.fromarray(MARKED).convert("L").filter(ImageFilter.MinFilter(5))) > 0
    around = np.asarray(Image.fromarray(MARKED).convert("L").filter(ImageFilter.MaxFilter(5))) > 0
    assert mask[inside].all()
    assert not mask[~around].any()


def test_a_jpeg_mask_saved_as_png_keeps_its_noise_out(tmp_path: Path) -> None:
    grey(0, 255, 255).save(tmp_path / "m.jpg", quality=60)
    Image.open(tmp_path / "m.jpg").save(tmp_path / "m.png")
    assert np.array_equal(
        read_mask(tmp_path / "m.png"), np.asarray(Image.open(tmp_path / "m.png")) > 127
    )


def test_smooth_outlines_are_cut_half_way(tmp_path: Path) -> None:
    smooth = grey(0, 255, 255).resize((173, 131), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png"), np.asarray(smooth) > 127)


def test_a_jpeg_mark_too_faint_to_tell_is_asked_about(tmp_path: Path) -> None:
    grey(0, 18, 18).save(tmp_path / "m.jpg")
    with pytest.raises(DataError, match="so faintly"):
        read_mask(tmp_path / "m.jpg")


def test_noise_of_a_jpeg_mask_is_no_defect(tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 16), 5, np.uint8)).save(tmp_path / "m.jpg")
    assert not read_mask(tmp_path / "m.jpg").any()


def test_an_empty_mask_marks_nothing(tmp_path: Path) -> None:
    for number, image in enumerate(
        [grey(0, 0, 0), rgb((0, 0, 0), (0, 0, 0)), with_alpha(BLACK, 0)]
    ):
        image.save(tmp_path / f"{number}.png")
        assert not read_mask(tmp_path / f"{number}.png").any()


def voc_with_white_border() -> NDArray[np.uint8]:
    labels = LABELS.copy()
    labels[9, 9:31] = labels[20, 9:31] = 255
    return labels


@pytest.mark.parametrize("kind", ["palette", "grey", "colours"])
def test_the_ignore_label_of_voc_is_asked_about(kind: str, tmp_path: Path) -> None:
    labels = voc_with_white_border()
    image = Image.fromarray(labels)
    if kind != "grey":
        image = Image.frombytes("P", (80, 60), labels.tobytes())
        image.putpalette(voc_palette())
    (image.convert("RGB") if kind == "colours" else image).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="--ignore-label 255"):
        read_mask(tmp_path / "m.png")
    left_out = read_mask(tmp_path / "m.png", MaskRule(ignore=255))
    assert np.array_equal(left_out, MARKED)
    counted = read_mask(tmp_path / "m.png", MaskRule(ignore="count"))
    assert np.array_equal(counted, labels > 0)


@pytest.mark.parametrize(
    "image", [Image.fromarray(np.full((60, 80), 255, np.uint8)), grey(0, 0, 0)], ids=["all", "most"]
)
def test_a_mask_of_more_than_half_is_questioned(image: Image.Image, tmp_path: Path) -> None:
    pixels = np.asarray(image).copy()
    pixels[2:-2, 2:-2] = 255
    Image.fromarray(pixels).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="--large-masks"):
        read_mask(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png", MaskRule(large=True)), pixels > 0)


def test_a_defect_along_most_of_the_border_is_questioned(tmp_path: Path) -> None:
    pixels = np.zeros((60, 80), np.uint8)
    pixels[:, :5] = pixels[:, -5:] = pixels[:5] = 255
    Image.fromarray(pixels).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="border"):
        read_mask(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png", MaskRule(large=True)), pixels > 0)


def test_an_inverted_mask_is_read_and_known_as_such(tmp_path: Path) -> None:
    grey(255, 0, 0).save(tmp_path / "inverted.png")
    grey(0, 255, 255).save(tmp_path / "usual.png")
    assert read_source_mask([tmp_path / "inverted.png"]).is_dark_on_bright
    assert not read_source_mask([tmp_path / "usual.png"]).is_dark_on_bright


def test_a_photograph_is_no_mask(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"look like a mask|marks 8.% of its image"):
        read_mask(tmp_path / "m.png")


def test_several_masks_of_one_image_are_united(tmp_path: Path) -> None:
    for label in (1, 2):
        write_png(tmp_path / f"{label}.png", np.equal(LABELS, label))
    assert np.array_equal(read_source_mask(sorted(tmp_path.iterdir())).mask, MARKED)
    write_png(tmp_path / "3.png", MARKED[:-1])
    with pytest.raises(ImageError, match="differ in size"):
        read_source_mask(sorted(tmp_path.iterdir()))


def test_a_mask_of_several_pages_is_refused(tmp_path: Path) -> None:
    first, second = grey(0, 255, 0), grey(0, 0, 255)
    first.save(tmp_path / "m.tif", save_all=True, append_images=[second])
    with pytest.raises(ImageError, match="2 pages"):
        read_mask(tmp_path / "m.tif")


def test_a_prepared_mask_is_read_as_it_was_written(tmp_path: Path) -> None:
    for number, share in enumerate((0.0, 0.1, 0.6, 0.95, 1.0)):
        mask = np.zeros((20, 20), np.bool_)
        mask[:, : int(20 * share)] = True
        write_png(tmp_path / f"{number}.png", mask)
        assert np.array_equal(read_prepared_mask(tmp_path / f"{number}.png"), mask)
    grey(0, 100, 255).save(tmp_path / "edited.png")
    assert np.array_equal(read_prepared_mask(tmp_path / "edited.png"), MARKED)


def test_masks_of_published_sets_are_white_even_where_they_are_large(tmp_path: Path) -> None:
    pixels = np.zeros((60, 80), np.uint8)
    pixels[:, 10:] = 255
    Image.fromarray(pixels).save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png", PUBLISHED), pixels > 0)


def test_broken_and_missing_masks_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_text("no image")
    with pytest.raises(ImageError, match=r"m\.png cannot be read"):
        read_mask(tmp_path / "m.png")
    with pytest.raises(ImageError, match="does not exist"):
        read_mask(tmp_path / "n.png")


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "JPEG"])
def test_a_large_damaged_mask_is_refused_within_seconds(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000, len(kind[:4])), np.uint8)
    path = tmp_path / ("m.jpg" if kind == "JPEG" else "m.png")
    Image.fromarray(noise[..., :3] if kind == "JPEG" else noise).save(path, compress_level=1)
    started = time.process_time()
    with pytest.raises(DataError, match="look like a mask"):
        read_mask(path)
    assert time.process_time() - started < 8  # every colour compared with every other: 30


def test_a_small_soft_spot_of_floating_point_is_read_at_any_size(tmp_path: Path) -> None:
    """Of its distinct values, more than a mask may have, few are in a part of the pixels."""
    y, x = np.mgrid[:1700, :1700]
    inside = np.hypot(y - 850, x - 800) < 400
    soft = np.where(inside, np.random.default_rng(0).uniform(0.8, 1, inside.shape), 0)
    soft = soft.astype(np.float32)
    assert len(np.unique(soft)) > MAX_DISTINCT
    Image.fromarray(soft).save(tmp_path / "m.tif")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), inside)


def test_a_soft_mask_of_floating_point_is_cut_half_way(tmp_path: Path) -> None:
    radius = np.hypot(np.arange(-500.3, 499)[:, None], np.arange(-499.8, 500))
    soft = np.clip((400 - radius) / 400, 0, 1).astype(np.float32)
    assert len(np.unique(soft)) > 2**18  # so many that they are not compared one by one
    Image.fromarray(soft).save(tmp_path / "m.tif")
    mask = read_mask(tmp_path / "m.tif")
    assert (mask == (soft > 0.5)).mean() > 0.999
