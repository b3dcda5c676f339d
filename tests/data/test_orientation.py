"""EXIF orientation, read by itself; masks against the turned and the stored picture."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from lookalikes import surface
from patchcore_dual.data.mask_orientation import match_mask
from patchcore_dual.data.orientation import turn
from patchcore_dual.data.prepare.placement import SplitSettings
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read, read_image, read_mask

IMAGE = surface(1, 40, 24)
ODD_TAGS = {
    "text for a fraction": (0x11A, 2, 6, b"72/1\0\0"),
    "fraction over 0": (0x11A, 10, 1, struct.pack("<ii", -1, 0)),
    "too large a number": (0x103, 4, 1, struct.pack("<I", 70000)),
    "negative number": (0x103, 9, 1, struct.pack("<i", -5)),
    "fraction for a number": (0x128, 5, 1, struct.pack("<II", 2, 1)),
    "text for a number": (0x128, 2, 2, b"2\0"),
    "unknown type": (0x128, 99, 2, b"2\0"),
    "offset beyond the end": (0x11A, 5, 2**31, b"\xff\xff\xff\x7f"),
}


def exif_bytes(orientation: int, tag: tuple[int, int, int, bytes]) -> bytes:
    number, kind, count, value = tag
    field = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", 38)
    first = struct.pack("<HHI", number, kind, count) + field
    second = struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0)
    entries = sorted([first, second], key=lambda e: struct.unpack("<H", e[:2]))
    directory = struct.pack("<H", 2) + b"".join(entries) + struct.pack("<I", 0)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory + value * (len(value) > 4)


def save_with_exif(path: Path, exif: bytes) -> None:
    file = io.BytesIO()
    Image.fromarray(IMAGE).save(file, "JPEG", quality=95)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(file.getvalue()[:2] + segment + file.getvalue()[2:])


@pytest.mark.parametrize("odd", ODD_TAGS)
def test_odd_exif_neither_fails_nor_hides_the_orientation(tmp_path, odd):
    save_with_exif(tmp_path / "a.jpg", exif_bytes(6, ODD_TAGS[odd]))
    save_with_exif(tmp_path / "plain.jpg", b"")
    plain = read_image(tmp_path / "plain.jpg")
    assert np.array_equal(read_image(tmp_path / "a.jpg"), np.rot90(plain, -1))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_pillows(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(IMAGE).save(path, exif=exif, **options)
    with Image.open(path) as image:
        image.load()
        expected = np.asarray(ImageOps.exif_transpose(image))
    reading = read(path)
    assert np.array_equal(reading.pixels, expected)
    assert reading.how.orientation == orientation


def test_mask_painted_on_the_stored_picture_is_turned_with_it():
    stored = np.zeros((24, 40), bool)
    stored[2:6, 3:9] = True
    upright = turn(IMAGE, 6)
    mask, how = match_mask(stored, upright, 6)
    assert how == "turned"
    assert np.array_equal(mask, np.rot90(stored, -1))
    assert match_mask(np.rot90(stored, -1), upright, 6)[1] == "none"


def test_mask_that_fits_both_pictures_is_compared_with_both():
    image = np.full((24, 40, 3), 100, np.uint8)
    image[2:6, 3:9] = 200
    mask = np.zeros((24, 40), bool)
    mask[2:6, 3:9] = True
    assert match_mask(mask, image, 3)[1] == "unsure"
    wrong, how = match_mask(turn(mask, 3), image, 3)
    assert how == "doubtful"
    assert np.array_equal(wrong, turn(mask, 3))


def test_prepare_says_how_many_images_exif_turned_and_turns_their_masks(tmp_path):
    source = tmp_path / "parts"
    for name in ("good", "dent", "masks/dent"):
        (source / name).mkdir(parents=True)
    for i in range(3):
        Image.fromarray(surface(i, 40, 24)).save(source / f"good/{i}.png")
    save_with_exif(source / "dent/0.jpg", exif_bytes(6, ODD_TAGS["text for a fraction"]))
    mask = np.zeros((24, 40), np.uint8)
    mask[2:6, 3:9] = 255
    Image.fromarray(mask).save(source / "masks/dent/0.png")
    summary = prepare("folder", source, tmp_path / "p", split=SplitSettings(train_fraction=1))
    assert any("1 image (dent/0.jpg) turned upright" in note for note in summary.notes)
    assert any("painted on the picture as it is stored" in note for note in summary.notes)
    prepared = read_mask(tmp_path / "p/train/masks/dent-0.png")
    assert np.array_equal(prepared, np.rot90(mask, -1) > 0)
