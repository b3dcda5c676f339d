"""What is allowed of an image from outside, seen in its first bytes before it is decoded."""

import io
import struct

from PIL import Image

from patchcore_dual.errors import ImageError

# Formats of cameras, each known by its first bytes. Others that `inspect` reads are left out: some
# have no signature, some are run by other programs, and in GIF every picture has to be looked at.
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000")
_MAX_PAGES = 1000  # of a TIFF file, each of which a reader has to look for


class NotAnImage(ImageError):
    """What is no image, or of a format that is not taken."""


class TooManyPixels(ImageError):
    """An image with more pixels than are allowed."""


def check_image(content: bytes, max_pixels: int, name: str = "this") -> tuple[int, int]:
    """Look at what an image says of itself, without decoding it; errors call it by its name.

    Returns:
        Its width and height, as they are stored.

    Raises:
        TooManyPixels: as it says.
        NotAnImage: for anything else.

    >>> check_image(b"<html>", 1000)
    Traceback (most recent call last):
    patchcore_dual.station.serving.image_limits.NotAnImage: this is no image that ...
    """
    try:
        if content[:2] in (b"II", b"MM"):
            _check_pages(content)
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            width, height = image.size
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise TooManyPixels(_too_large(max_pixels)) from None
    except Exception:  # decoders raise whatever damaged bytes lead them to
        raise NotAnImage(
            f"{name} is no image that can be read: send a PNG, JPEG, BMP, TIFF, WebP, PNM or "
            "JPEG 2000 file."
        ) from None
    if width * height > max_pixels:
        raise TooManyPixels(f"the image is {width}x{height}. {_too_large(max_pixels)}")
    return width, height


def _too_large(max_pixels: int) -> str:
    return f"At most {max_pixels / 1e6:g} megapixels are taken: crop or shrink it."


def _check_pages(content: bytes) -> None:
    """Raise an error for a TIFF file that ends early, or has more pages than any camera writes."""
    order = "<" if content[:2] == b"II" else ">"
    is_big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    offset_of, count_of, entry = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    (place,) = struct.unpack_from(order + offset_of, content, 8 if is_big else 4)
    for _ in range(_MAX_PAGES):
        if not place:
            return
        (entries,) = struct.unpack_from(order + count_of, content, place)
        place += struct.calcsize(count_of) + entry * entries
        (place,) = struct.unpack_from(order + offset_of, content, place)
    raise ImageError(f"the TIFF file has more than {_MAX_PAGES} pages. Send one image.")
