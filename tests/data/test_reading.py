import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalikes import save, surface
from patchcore_dual.data.reading import list_images, read, read_image, write_png
from patchcore_dual.errors import DataError, ImageError

IMAGE = surface(1, 20, 12)


def test_rgb_png_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", IMAGE)
    assert np.array_equal(read_image(tmp_path / "a.png"), IMAGE)


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", IMAGE)
    write_png(tmp_path / "b.png", IMAGE.copy())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_is_scaled_linearly(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}")
    assert image.dtype == np.uint8
    assert image.shape == (1, 4, 3)
    assert image[0, :, 1].tolist() == [0, 1, 128, 255]


def test_rgba_is_laid_over_black(tmp_path: Path) -> None:
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0]]], np.uint8)
    save(tmp_path / "a.png", rgba)
    assert read_image(tmp_path / "a.png").tolist() == [[[200, 100, 50], [0, 0, 0]]]


def test_palette_grey_and_cmyk_become_rgb(tmp_path: Path) -> None:
    flat = Image.new("RGB", (8, 8), (255, 0, 0))
    flat.quantize(4).save(tmp_path / "palette.png")
    flat.convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.new("L", (8, 8), 7).save(tmp_path / "grey.png")
    Image.new("1", (8, 8), 1).save(tmp_path / "bit.bmp")
    for name, colour in {
        "palette.png": [255, 0, 0],
        "cmyk.tif": [255, 0, 0],
        "grey.png": [7, 7, 7],
        "bit.bmp": [255, 255, 255],
    }.items():
        image = read_image(tmp_path / name)
        assert image.shape == (8, 8, 3)
        assert np.abs(image[0, 0].astype(int) - colour).max() <= 1, name


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(IMAGE).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.rot90(IMAGE, -1))


def test_float_image_is_refused_by_name(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 255, np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ImageError, match=r"f\.tif has 32-bit pixels.*16-bit"):
        read_image(tmp_path / "f.tif")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_truncated_file_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"cut{suffix}", surface(1, 200, 200))
    content = path.read_bytes()
    for length in (0, 10, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(ImageError, match=rf"cut\{suffix} cannot be read"):
            read_image(path)


def test_missing_file_and_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not an image")
    with pytest.raises(ImageError, match="not an image"):
        read_image(tmp_path / "a.png")
    with pytest.raises(ImageError, match="does not exist"):
        read_image(tmp_path / "b.png")


def test_images_are_listed_in_natural_order(tmp_path: Path) -> None:
    for name in ("Part10.jpg", "Part2.PNG", ".hidden.png", "notes.txt", "Part1.bmp"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in list_images(tmp_path)] == ["Part1.bmp", "Part2.PNG", "Part10.jpg"]
    with pytest.raises(DataError, match="is not a folder"):
        list_images(tmp_path / "none")


def test_alpha_of_0_everywhere_leaves_the_colours(tmp_path: Path) -> None:
    for alpha, note in ((0, "transparency ignored, colours kept"), (255, "")):
        rgba = np.dstack([IMAGE, np.full(IMAGE.shape[:2], alpha, np.uint8)])
        for suffix in (".png", ".tif"):
            save(tmp_path / f"a{suffix}", rgba)
            reading = read(tmp_path / f"a{suffix}")
            assert np.array_equal(reading.pixels, IMAGE)
            assert reading.how.note == note


def test_colour_called_transparent_in_greys_and_palettes_is_kept(tmp_path: Path) -> None:
    grey = np.full((20, 20), 200, np.uint8)
    grey[5:9, 5:9] = 255
    Image.fromarray(grey).save(tmp_path / "grey.png", transparency=255)
    palette = Image.fromarray(grey).convert("P")
    palette.save(tmp_path / "palette.png", transparency=bytes([0] * 256))
    palette.save(tmp_path / "palette.gif", transparency=255)
    for path in tmp_path.iterdir():
        reading = read(path)
        assert np.array_equal(reading.pixels[..., 0], grey), path.name
        assert reading.how.alpha == "ignored"


def test_shape_cut_out_by_alpha_is_said(tmp_path: Path) -> None:
    alpha = np.zeros(IMAGE.shape[:2], np.uint8)
    alpha[2:, 2:] = 255
    save(tmp_path / "a.png", np.dstack([IMAGE, alpha]))
    reading = read(tmp_path / "a.png")
    assert np.array_equal(reading.pixels, np.where(alpha[..., None] > 0, IMAGE, 0))
    assert reading.how.note == "black where it is transparent"


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".webp", ".png"])
def test_first_of_several_pages_is_read_and_said(tmp_path: Path, suffix: str) -> None:
    pages = [Image.new("RGB", (12, 8), (10 * i, 0, 0)) for i in range(3)]
    pages[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=pages[1:])
    reading = read(tmp_path / f"a{suffix}")
    assert reading.how.n_pages == 3
    assert "the first of 3 pages" in reading.how.note
    assert reading.pixels.shape == (8, 12, 3)
    assert not reading.pixels.any()


def test_scan_above_179_megapixels_is_too_large_not_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 20000 10000 255\n")
    header = np.frombuffer((20000).to_bytes(4, "big") + (10000).to_bytes(4, "big"), np.uint8)
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    png = bytearray((tmp_path / "a.png").read_bytes())
    png[16:24] = header.tobytes()
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(png)
    for name in ("a.pgm", "a.png"):
        with pytest.raises(
            ImageError, match=r"has 200 megapixels.*too large for one pass"
        ) as error:
            read_image(tmp_path / name)
        assert "tiles" in str(error.value)
        assert "damaged" not in str(error.value)
