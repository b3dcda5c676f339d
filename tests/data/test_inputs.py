"""`read_input`: whatever a user's program holds of an image gives the same pixels, or one error."""

import io

import numpy as np
import pytest
from PIL import Image

from patchcore_dual.data.inputs import read_input, read_inputs
from patchcore_dual.data.reading import read_image
from patchcore_dual.errors import ImageError

RGB = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def read(image, size=None):
    return read_input(image, size).original


@pytest.mark.parametrize(
    "view",
    [
        np.ascontiguousarray(RGB[..., ::-1])[..., ::-1],
        np.flipud(np.flipud(RGB).copy()),
        np.fliplr(np.fliplr(RGB).copy()),
        np.rot90(np.rot90(RGB).copy(), -1),
        np.ascontiguousarray(RGB.transpose(2, 0, 1)).transpose(1, 2, 0),
        np.asfortranarray(RGB),
        np.pad(RGB, ((2, 2), (3, 3), (0, 0)))[2:-2, 3:-3],
        np.repeat(RGB, 2, axis=0)[::2],
        np.dstack([RGB, GREY])[..., :3],
    ],
)
def test_an_array_that_is_a_view_is_laid_out_anew(view):
    given = read_input(view, (10, 12))
    np.testing.assert_array_equal(given.original, RGB)
    assert given.original.flags.c_contiguous
    assert given.resized.flags.c_contiguous
    np.testing.assert_array_equal(read_input(view, (5, 6)).resized, read_input(RGB, (5, 6)).resized)


@pytest.mark.parametrize("size", [None, (10, 12), (5, 6)])
def test_the_callers_buffer_can_take_the_next_frame(size):
    buffer = RGB.copy()
    given = read_input(buffer, size)
    before = given.resized.copy()
    buffer[:] = 0
    np.testing.assert_array_equal(given.original, RGB)
    np.testing.assert_array_equal(given.resized, before)


def test_grey_arrays_are_read_as_grey_files(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    expected = read_image(tmp_path / "grey.png")
    for grey in (GREY, GREY[..., None], np.asfortranarray(GREY)):
        np.testing.assert_array_equal(read(grey), expected)


def test_tensors_with_channels_first_or_last():
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(RGB)
    grey = torch.from_numpy(np.ascontiguousarray(GREY))
    for one in (tensor, tensor.permute(2, 0, 1), tensor.permute(2, 0, 1).contiguous()):
        np.testing.assert_array_equal(read(one), RGB)
    for one in (grey, grey[None], grey[..., None]):
        np.testing.assert_array_equal(read(one), read(GREY))
    with pytest.raises(ImageError, match="either end may be the channels"):
        read(tensor[:3].permute(2, 0, 1)[:, :, :3])
    with pytest.raises(ImageError, match=r"is float32 \[3, 12, 10\]"):
        read(tensor.permute(2, 0, 1) / 255)
    with pytest.raises(ImageError, match="is a tensor without an array"):
        read(tensor.to(torch.bfloat16))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_pillow_images_and_bytes_are_read_as_files(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(GREY.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(RGB).convert(mode)
    path = tmp_path / f"image.{'tif' if mode == 'CMYK' else 'png'}"
    image.save(path)
    expected = read_image(path)
    np.testing.assert_array_equal(read(image), expected)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(read(opened), expected)
    for content in (path.read_bytes(), bytearray(path.read_bytes())):
        np.testing.assert_array_equal(read(content), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pillow_image_is_turned_as_its_file_is(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        np.testing.assert_array_equal(read(opened), read_image(tmp_path / "turned.png"))


def test_none_names_the_missing_file_of_imread():
    with pytest.raises(ImageError, match=r"camera 2 is None: cv2\.imread returns None for a file"):
        read_input(None, None, "camera 2")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((20, 30, 4), np.uint8), r"fourth channel out with image\[\.\.\., :3\]"),
        (np.zeros((3, 20, 30), np.uint8), r"image\.transpose\(1, 2, 0\)"),
        (np.zeros((2, 20, 30, 3), np.uint8), "one by one, or to inspect_many"),
        (np.zeros((20, 30, 3), np.float32), r"values to 0 to 255, .* \.astype\(numpy\.uint8\)"),
        (np.zeros((20, 30), np.uint16), r"values to 0 to 255"),
        (np.zeros((20, 30), bool), "is bool"),
        (np.zeros((0, 30, 3), np.uint8), r"uint8 \[0, 30, 3\]"),
        (np.zeros(7, np.uint8), r"uint8 \[7\]"),
        (np.array(None), "is object"),
        ([[1, 2], [3, 4]], "is a list; give a path"),
        (7, "is a int; give a path"),
        (b"no image", "part 7 cannot be read as an image"),
        (b"", "part 7 cannot be read as an image"),
    ],
)
def test_what_is_no_image_is_named_with_advice(wrong, message):
    with pytest.raises(ImageError, match=message) as error:
        read_input(wrong, None, "part 7")
    assert str(error.value).startswith("part 7 ")


def test_a_folder_is_named_as_one(tmp_path):
    with pytest.raises(ImageError, match=r"is a folder\. Give its images one by one"):
        read(tmp_path)


def test_a_damaged_pillow_image_is_one_error(tmp_path):
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG")
    with Image.open(io.BytesIO(file.getvalue()[:-40])) as image, pytest.raises(ImageError):
        read(image)


@pytest.mark.parametrize("one", ["part.png", b"bytes", Image.new("L", (3, 3))])
def test_one_image_in_place_of_a_list_is_named(one):
    with pytest.raises(ImageError, match="Give a list of images"):
        next(read_inputs(one, None))
