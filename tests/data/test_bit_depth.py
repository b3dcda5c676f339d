"""10, 12 and 14 bits in 16-bit files: one scale for a whole set, the same when inspecting."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lookalikes import surface
from patchcore_dual.data.bit_depth import find_bit_depth, source_bit_depth
from patchcore_dual.data.inputs import read_input
from patchcore_dual.data.prepare.placement import SplitSettings
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_image
from patchcore_dual.errors import ImageError, SettingsError


def parts(folder: Path, bits: int, suffix: str = ".png") -> Path:
    """Five parts whose brightest value uses `bits` bits; the last one is dark."""
    (folder / "good").mkdir(parents=True)
    for i in range(5):
        values = surface(i, 40, 30)[..., 0].astype(np.float64) / 255 * (2**bits - 1)
        values.flat[0] = 2**bits - 1
        values = values / 20 if i == 4 else values
        cv2.imwrite(str(folder / f"good/{i}{suffix}"), np.round(values).astype(np.uint16))
    return folder


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_bit_depth_is_found_once_for_a_set_and_dark_images_stay_dark(tmp_path, bits, suffix):
    source = parts(tmp_path / "parts", bits, suffix)
    summary = prepare(
        "folder", source, tmp_path / "prepared", split=SplitSettings(train_fraction=1)
    )
    assert summary.bit_depth == bits
    assert source_bit_depth(tmp_path / "prepared") == bits
    assert any(f"{bits} bits are used" in note for note in summary.notes)
    for i, brightest in ((0, 255), (4, 13)):
        image = read_image(tmp_path / f"prepared/train/negative/good-{i}.png")
        assert abs(int(image.max()) - brightest) <= 1
    raw = read_input(source / f"good/4{suffix}", None, bit_depth=bits)
    assert np.array_equal(raw.original, image)


def test_bit_depth_given_wins_and_is_checked(tmp_path):
    source = parts(tmp_path / "parts", 10)
    split = SplitSettings(train_fraction=1)
    prepare("folder", source, tmp_path / "prepared", split=split, bit_depth=12)
    assert json.loads((tmp_path / "prepared/preparation.json").read_text())["bit_depth"] == 12
    assert read_image(tmp_path / "prepared/train/negative/good-0.png").max() == 64
    with pytest.raises(SettingsError, match="between 8 and 16"):
        prepare("folder", source, tmp_path / "other", split=split, bit_depth=20)


def test_image_above_the_bit_depth_of_its_set_is_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 5000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png has the value 5000, above the 4095 of the 12"):
        read_image(tmp_path / "a.png", bit_depth=12)


def test_dark_16_bit_file_without_a_known_bit_depth_is_refused_not_black(tmp_path):
    Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png is a 16-bit file.*12\?.*--bit-depth"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_16_bit_colour_keeps_its_bits(tmp_path, suffix):
    image = surface(1, 30, 20)
    deep = np.round(image / 255 * 4095).astype(np.uint16)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), deep[..., ::-1])
    assert find_bit_depth([tmp_path / f"a{suffix}"]) in (12, None)
    assert np.array_equal(read_image(tmp_path / f"a{suffix}", bit_depth=12), image)


def test_scale_that_a_file_states_is_taken(tmp_path):
    grey = surface(1, 30, 20)[..., 0]
    values = np.round(grey / 255 * 4095).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5\n# camera\n30 20\n4095\n" + values.tobytes())
    plain = " ".join(map(str, values.ravel())).encode()
    (tmp_path / "plain.pgm").write_bytes(b"P2 30 20 4095\n" + plain)
    Image.fromarray(grey.astype(np.float32) / 255).save(tmp_path / "f.tif")
    for name in ("a.pgm", "plain.pgm", "f.tif"):
        assert find_bit_depth([tmp_path / name]) is None
        assert np.array_equal(read_image(tmp_path / name)[..., 0], grey), name


def test_sets_of_8_bits_have_no_bit_depth(tmp_path):
    (tmp_path / "parts/good").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(surface(i, 30, 20)).save(tmp_path / f"parts/good/{i}.png")
    summary = prepare(
        "folder", tmp_path / "parts", tmp_path / "p", split=SplitSettings(train_fraction=1)
    )
    assert summary.bit_depth is None
    assert summary.notes == []


def test_a_pgm_with_the_low_byte_first_is_read_where_that_is_unambiguous(tmp_path: Path) -> None:
    values = np.linspace(0, 4095, 600).reshape(20, 30).astype(np.uint16)
    header = b"P5\n30 20\n4095\n"
    (tmp_path / "right.pgm").write_bytes(header + values.astype(">u2").tobytes())
    (tmp_path / "swapped.pgm").write_bytes(header + values.astype("<u2").tobytes())
    right, swapped = (read_image(tmp_path / f"{name}.pgm") for name in ("right", "swapped"))
    np.testing.assert_array_equal(right, swapped)
    assert right.max() == 255
    (tmp_path / "damaged.pgm").write_bytes(header + np.full(600, 0xFFFF, "<u2").tobytes())
    with pytest.raises(ImageError, match="above the 4095"):
        read_image(tmp_path / "damaged.pgm")
