"""Image and mask files of every kind, whole and damaged: a right reading or one clear error."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalikes import surface
from patchcore_dual.data.orientation import turn
from patchcore_dual.data.reading import read, read_mask
from patchcore_dual.errors import DataError

GREY = surface(3, 36, 24)[..., 0]
FORMATS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("L", "P"),
    "PPM": ("1", "L", "RGB", "I;16", "F"),
    "TGA": ("L", "RGB", "RGBA"),
    "JPEG2000": ("L", "RGB", "RGBA", "I;16"),
}
KINDS = [(format, mode) for format, modes in FORMATS.items() for mode in modes]
EXIF = [
    b"",
    b"Exif\0\0",
    b"Exif\0\0II*\0\xff\xff\xff\xff",
    b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(40),
    b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, 77, 0) + bytes(4),
    b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x112, 2, 1, 6) + bytes(4),
]


def picture(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(GREY.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(GREY.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(GREY.astype(np.float32) / 255)
    return Image.fromarray(GREY).convert(mode)


def encoded(format: str, mode: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture(mode).save(file, format, **options)
    return file.getvalue()


def read_or_refuse(path: Path) -> None:
    """Anything but a reading or a DataError fails the test that calls this."""
    for function in (lambda p: read(p).pixels, read_mask):
        try:
            pixels = function(path)
        except DataError as error:
            message = str(error)
        else:
            message = path.name
            assert pixels.dtype in (np.uint8, np.bool_)
            assert pixels.size
        assert path.name in message
        assert len(message.splitlines()) == 1


@pytest.mark.parametrize(("format", "mode"), KINDS)
def test_every_format_depth_and_channel_is_read_right(tmp_path, format, mode):
    (tmp_path / "a").write_bytes(encoded(format, mode))
    expected = np.asarray(picture("1").convert("L")) if mode == "1" else GREY
    error = read(tmp_path / "a").pixels[..., 1].astype(int) - expected
    lossy = format in ("JPEG", "WEBP") or mode == "CMYK"
    assert np.abs(error).max() <= (40 if lossy else 1)
    assert np.abs(error).mean() <= (6 if lossy else 1)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_orientation_turns_images(tmp_path, format, mode, orientation):
    if (format, mode) not in KINDS:
        pytest.skip("no such files")
    exif = Image.Exif()
    exif[0x112] = orientation
    (tmp_path / "a").write_bytes(encoded(format, mode, exif=exif))
    (tmp_path / "plain").write_bytes(encoded(format, mode))
    plain = read(tmp_path / "plain").pixels
    assert np.array_equal(read(tmp_path / "a").pixels, turn(plain, orientation))


@pytest.mark.parametrize("number", range(len(EXIF)))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_odd_metadata_changes_no_pixel(tmp_path, format, number):
    (tmp_path / "a").write_bytes(encoded(format, "RGB", exif=EXIF[number]))
    (tmp_path / "plain").write_bytes(encoded(format, "RGB"))
    assert np.array_equal(read(tmp_path / "a").pixels, read(tmp_path / "plain").pixels)


@pytest.mark.parametrize(("format", "mode"), KINDS)
def test_random_damage_gives_a_reading_or_an_error(tmp_path, monkeypatch, format, mode):
    # A damaged width makes a picture of a hundred megapixels: allowed, but slow to test.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    rng = np.random.default_rng(len(format) * 31 + len(mode))
    content = np.frombuffer(encoded(format, mode), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for trial in range(24):
            damaged = content.copy()
            first = 64 if trial % 2 else len(content)  # headers are hit as often as pixels
            at = rng.integers(0, min(first, len(content)), 1 + trial // 4)
            damaged[at] = rng.integers(0, 256, at.size)
            if trial % 6 == 5:
                damaged = damaged[: rng.integers(0, len(damaged))]
            path = tmp_path / f"damaged-{trial}"
            path.write_bytes(damaged.tobytes())
            read_or_refuse(path)
