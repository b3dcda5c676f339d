"""Reading images and masks from files, and writing PNG files (thesis 3.2).

An image in memory is always `uint8 [H, W, 3]` RGB, a mask always `bool [H, W]`.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from patchcore_dual.data.listing import IMAGE_SUFFIXES, list_images, natural_key
from patchcore_dual.data.masks import read_mask
from patchcore_dual.errors import ImageError

__all__ = [
    "IMAGE_SUFFIXES",
    "check_image",
    "list_images",
    "natural_key",
    "read_image",
    "read_mask",
    "write_png",
]

# Raised by Pillow for damaged files, depending on their format.
_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def read_image(path: Path | str) -> NDArray[np.uint8]:
    """Read an image file as RGB, upright.

    EXIF orientation is applied; 16-bit grey is scaled linearly to 8 bits; CMYK, palette and
    one-channel images are converted; transparency is laid over black.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        ImageError: the file is missing, truncated, not an image, or has 32-bit pixels, for which
            no scale to 8 bits is known.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("L", (4, 2), 7).save(f"{folder}/grey.png")
    ...     image = read_image(f"{folder}/grey.png")
    >>> image.shape, image[0, 0].tolist()
    ((2, 4, 3), [7, 7, 7])
    """
    return np.asarray(_rgb(_open_upright(Path(path)), Path(path)))


def check_image(image: NDArray[Any], name: str = "") -> None:
    """Raise ImageError, which begins with `name`, unless an array is uint8 [H, W, 3]."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageError(
            f"{name or 'the image'} is {image.dtype} {list(image.shape)}; "
            "give uint8 [H, W, 3], RGB."
        )


def write_png(path: Path, array: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
    """Write a PNG file; equal arrays give equal bytes.

    Args:
        path: the file to make or replace.
        array: uint8 [H, W, 3] RGB, uint8 [H, W] grey, or a mask, bool [H, W], written as 0 and
            255.
    """
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    Image.fromarray(array).save(path, format="PNG", compress_level=1)


def _open_upright(path: Path) -> Image.Image:
    """The decoded file, upright by its EXIF orientation; `format` is that of the file."""
    if not path.is_file():
        raise ImageError(f"{path} does not exist. Check the path.")
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            upright.format = image.format
            return upright
    except _DECODING_ERRORS as error:
        raise ImageError(
            f"{path} cannot be read as an image ({_reason(error)}). "
            "Replace the file with an intact copy or remove it."
        ) from None


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged at its beginning"
    return str(error).rstrip(".") or type(error).__name__


def _rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode.startswith("I;16"):
        scaled = np.round(np.asarray(image, dtype=np.float32) / 257).astype(np.uint8)
        return Image.fromarray(scaled).convert("RGB")
    if image.mode in ("I", "F"):
        raise ImageError(
            f"{path} has 32-bit pixels, for which no scale to 8 bits is known. "
            "Save it as an 8-bit or 16-bit image."
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB")
    return image.convert("RGB")
