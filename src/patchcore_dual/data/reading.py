"""Image and mask files in, arrays out; and the one way a PNG is written (thesis 3.2).

An image in memory is always `uint8 [H, W, 3]` RGB, a mask always `bool [H, W]`.
"""

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from patchcore_dual.errors import DataError, ImageError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

_LOSSY_FORMATS = frozenset({"JPEG", "MPO", "WEBP"})
# What Pillow raises on damaged files of one format or another.
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

    Returns: uint8 [H, W, 3].
    Raises ImageError where the file is missing, truncated, not an image, or has 32-bit pixels,
    for which no scale to 8 bits is known.
    """
    return np.asarray(_rgb(_open_upright(Path(path)), Path(path)))


def check_image(image: NDArray[Any], name: str = "") -> None:
    """Raise ImageError unless an array is uint8 [H, W, 3]."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageError(
            f"{name or 'the image'} is {image.dtype} {list(image.shape)}; "
            "give uint8 [H, W, 3], RGB."
        )


def read_mask(path: Path | str) -> NDArray[np.bool_]:
    """Read a mask file: defect where its grey value is above 127.

    Lossless files that never pass 127 hold 0/1 (or other small) labels: there, any value above 0
    is defect.

    Returns: bool [H, W]. Raises ImageError as `read_image` does.
    """
    image = _open_upright(Path(path))
    lossless = image.format not in _LOSSY_FORMATS
    grey = np.asarray(image) if image.mode.startswith("I;16") else _grey(image, Path(path))
    middle = 127 * 257 if grey.dtype == np.uint16 else 127
    if lossless and grey.max(initial=0) <= middle:
        return grey > 0
    return grey > middle


def write_png(path: Path, array: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
    """Write `[H, W, 3]` or `[H, W]` (a bool mask as 0 and 255); equal arrays give equal bytes."""
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    Image.fromarray(array).save(path, format="PNG", compress_level=1)


def list_images(folder: Path | str) -> list[Path]:
    """The image files directly in `folder`, by suffix, hidden files left out, in natural order."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    return sorted((p for p in files if not p.name.startswith(".") and p.is_file()), key=natural_key)


def natural_key(path: Path | str) -> list[tuple[int, int, str]]:
    """A sorting key by which Part2 comes before Part10."""
    pieces = re.split(r"([0-9]+)", str(path))
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in pieces]


def _open_upright(path: Path) -> Image.Image:
    """The decoded file, turned as its EXIF orientation says, `format` kept."""
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


def _grey(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    return np.asarray(_rgb(image, path).convert("L"))
