"""Reading images and masks from files, and writing PNG files (thesis 3.2).

An image in memory is always `uint8 [H, W, 3]` RGB, a mask always `bool [H, W]`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from patchcore_dual.data.bit_depth import scale_of, to_8_bits
from patchcore_dual.data.decoding import Decoded, decode
from patchcore_dual.data.listing import IMAGE_SUFFIXES, list_images, natural_key, printable
from patchcore_dual.data.masks import read_mask
from patchcore_dual.data.orientation import turn
from patchcore_dual.errors import ImageError

__all__ = [
    "IMAGE_SUFFIXES",
    "HowRead",
    "Reading",
    "check_image",
    "list_images",
    "natural_key",
    "read",
    "read_image",
    "read_mask",
    "write_png",
]

Alpha = Literal["none", "ignored", "black"]


@dataclass(frozen=True)
class HowRead:
    """What had to be decided to read an image file.

    Attributes:
        orientation: how EXIF turned it, 1 (not at all) to 8.
        alpha: "none" without transparency; "black" where alpha cuts out a shape, whose
            surroundings became black; "ignored" where it does not, and the colours below count.
        n_pages: number of pages or frames in the file, of which the first was read.
        is_deep: whether the file has more than 8 bits a value.
    """

    orientation: int = 1
    alpha: Alpha = "none"
    n_pages: int = 1
    is_deep: bool = False

    @property
    def note(self) -> str:
        """What a user should know of how it was read, in words; empty for ordinary files."""
        notes = []
        if self.n_pages > 1:
            notes.append(f"the first of {self.n_pages} pages")
        if self.alpha == "ignored":
            notes.append("transparency ignored, colours kept")
        elif self.alpha == "black":
            notes.append("black where it is transparent")
        return "; ".join(notes)


class Reading(NamedTuple):
    """An image, uint8 [H, W, 3], RGB, upright, and how it was read."""

    pixels: NDArray[np.uint8]
    how: HowRead = HowRead()


def read_image(path: Path | str, bit_depth: int | None = None) -> NDArray[np.uint8]:
    """Read the first page of an image file as RGB, upright.

    EXIF orientation is applied; more than 8 bits are scaled linearly to 8; CMYK, palette and
    one-channel images are converted. Colours count under transparency too, unless alpha cuts out a
    shape: then its surroundings become black.

    Args:
        path: the file.
        bit_depth: how many bits the 16-bit files of the data set use (`data.bit_depth`); None
            where none was found in it.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        ImageError: the file is missing, damaged, not an image, too large, or has pixels for which
            no scale to 8 bits is known.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("L", (4, 2), 7).save(f"{folder}/grey.png")
    ...     image = read_image(f"{folder}/grey.png")
    >>> image.shape, image[0, 0].tolist()
    ((2, 4, 3), [7, 7, 7])
    """
    return read(path, bit_depth).pixels


def read(source: Path | str | bytes, bit_depth: int | None = None, name: str = "") -> Reading:
    """Read an image file, or the bytes of one, with what was decided about it.

    Args:
        source: the file, or its bytes.
        bit_depth: see `read_image`.
        name: what it is called in errors; its path by default.
    """
    if not isinstance(source, bytes):
        source = Path(source)
        name = name or printable(source)
    decoded = decode(source, name)
    assert decoded is not None
    if decoded.values is None:
        pixels, alpha = _rgb(decoded.image, name)
    else:
        pixels, alpha = _scaled(decoded, bit_depth, name)
    how = HowRead(decoded.orientation, alpha, decoded.n_pages, decoded.values is not None)
    return Reading(np.ascontiguousarray(turn(pixels, decoded.orientation)), how)


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


def _rgb(image: Image.Image, name: str) -> tuple[NDArray[np.uint8], Alpha]:
    """The pixels of 8-bit files."""
    alpha: Alpha = "none"
    try:
        if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
            image = image.convert("RGBA")
            alpha = _role(*image.getchannel("A").getextrema(), opaque=255)  # type: ignore[misc]
            if alpha == "black":
                image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
        elif image.info.pop("transparency", None) is not None:
            alpha = "ignored"  # a colour that is called transparent is no shape
        return np.asarray(image.convert("RGB")), alpha
    except ValueError as error:
        raise ImageError(f"{name} cannot be made RGB ({error}). Save it as RGB or grey.") from None


def _scaled(decoded: Decoded, bit_depth: int | None, name: str) -> tuple[NDArray[np.uint8], Alpha]:
    """The pixels of files with more than 8 bits a value."""
    assert decoded.values is not None
    n = decoded.n_colours
    colours, opacity = decoded.values[..., :n], decoded.values[..., n:]
    maximum = decoded.stated_maximum or scale_of(colours, bit_depth, name)
    pixels = to_8_bits(colours, maximum)
    alpha: Alpha = "ignored" if "transparency" in decoded.image.info else "none"
    if opacity.size:
        alpha = _role(int(opacity.min()), int(opacity.max()), opaque=2**16 - 1)
        if alpha == "black":
            share = opacity.astype(np.float32) / np.float32(2**16 - 1)
            pixels = np.round(pixels * share).astype(np.uint8)
    return (pixels if n == 3 else np.repeat(pixels, 3, axis=2)), alpha


def _role(lowest: int, highest: int, opaque: int) -> Alpha:
    """What alpha is for: it cuts out a shape if it hides some pixels and shows others."""
    if lowest == opaque:
        return "none"
    return "black" if lowest == 0 and highest > opaque // 2 else "ignored"
