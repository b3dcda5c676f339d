"""Decoding image files: from bytes to the pixels as they are stored, or one clear error."""

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from patchcore_dual.data.listing import printable
from patchcore_dual.data.orientation import orientation_of, without_orientation
from patchcore_dual.errors import ImageError

MAX_MEGAPIXELS = 179  # of one image: Pillow's limit
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0

# What Pillow warns of is either an error here or of no consequence.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")


@dataclass(frozen=True)
class Decoded:
    """An image file as it is stored, not turned yet.

    Attributes:
        image: the picture, loaded; 8 bits a value unless `values` is given.
        orientation: how it is to be turned, 1 to 8 (`orientation.turn`).
        n_pages: number of pages, or of an animation's frames; `image` is the first.
        values: uint16 [H, W, 1 to 4] of a file with more than 8 bits a value: grey or RGB, and
            alpha; None otherwise.
        stated_maximum: the value of white, where the file states it; else 0.
    """

    image: Image.Image
    orientation: int
    n_pages: int
    values: NDArray[np.uint16] | None = None
    stated_maximum: int = 0

    @property
    def n_colours(self) -> int:
        """Channels of `values` without alpha."""
        return 0 if self.values is None else 1 if self.values.shape[2] < 3 else 3


def decode(
    source: Path | bytes, name: str = "", *, only_deep: bool = False, with_values: bool = True
) -> Decoded | None:
    """Decode an image file.

    Args:
        source: the file, or its bytes.
        name: what it is called in errors; its path by default.
        only_deep: decode it only if it has more than 8 bits a value, else give None.
        with_values: give the values of a file with more than 8 bits; masks read the image itself.

    Raises:
        ImageError: the file is missing, damaged, too large, not an image, or has numbers that no
            scale is known for.
    """
    name = name or (printable(source) if isinstance(source, Path) else "the image")
    try:
        if isinstance(source, Path) and not source.is_file():
            raise ImageError(f"{name} does not exist. Check the path.")
        content = source.read_bytes() if isinstance(source, Path) else source
        return _decode(content, name, only_deep=only_deep, with_values=with_values)
    except ImageError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise _too_large(name, error) from None
    except Exception as error:  # decoders raise whatever damaged bytes lead them to
        raise ImageError(
            f"{name} cannot be read as an image ({_reason(error)}). "
            "Replace the file with an intact copy or remove it."
        ) from None


def turn_image(image: Image.Image, orientation: int) -> Image.Image:
    """Bring a stored Pillow image upright."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _decode(content: bytes, name: str, *, only_deep: bool, with_values: bool) -> Decoded | None:
    orientation = 1
    if content[:2] == b"\xff\xd8":
        content, exif, xmp = _without_metadata(content)
        orientation = orientation_of(exif, xmp)
    elif content[:2] in (b"II", b"MM"):
        content, orientation = without_orientation(content)
    with Image.open(io.BytesIO(content)) as image:
        is_deep = _is_deep(image, content)
        if only_deep and not is_deep:
            return None
        n_pages = _n_pages(image)
        tags = getattr(image, "tag_v2", {})  # of a TIFF
        bits, photometric = tags.get(_BITS_PER_SAMPLE, (8,))[0], tags.get(_PHOTOMETRIC)
        image.load()
    if orientation == 1:
        orientation = orientation_of(*_metadata(image))
    if not is_deep or not with_values:
        return Decoded(image, orientation, n_pages)
    if photometric == _WHITE_IS_ZERO:
        raise ImageError(
            f"{name} stores white as 0, with more than 8 bits. Save it with black as 0."
        )
    values, stated = _values(image, content, name)
    return Decoded(image, orientation, n_pages, values, 4095 if bits == 12 else stated)


def _is_deep(image: Image.Image, content: bytes) -> bool:
    """Whether a file has more than 8 bits a value, whatever Pillow makes of it."""
    if image.mode.startswith(("I", "F")):
        return True
    if image.format == "PNG":
        return content[24] == 16
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,))) > 8  # type: ignore[attr-defined]
    return image.format == "PPM" and _pnm_header(content)[3] > 255


def _values(image: Image.Image, content: bytes, name: str) -> tuple[NDArray[np.uint16], int]:
    """The values of a deep file and, where it states it, the value of white."""
    if image.mode == "F":
        return _of_floats(np.asarray(image), name), 2**16 - 1
    if image.format == "PPM":
        return _of_pnm(content, name)
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)[..., None]
        return values, 2**16 - 1 if image.format == "JPEG2000" and _is_scaled(content) else 0
    if image.mode == "I":
        whole = np.asarray(image)
        if whole.min() < 0 or whole.max() >= 2**16:
            raise ImageError(
                f"{name} has 32-bit pixels from {whole.min()} to {whole.max()}, for which no scale "
                "to 8 bits is known. Save it as an 8-bit or 16-bit image."
            )
        return whole.astype(np.uint16)[..., None], 0
    return _by_opencv(image, content, name), 0


def _of_floats(values: NDArray[np.float32], name: str) -> NDArray[np.uint16]:
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise ImageError(
            f"{name} has 32-bit pixels that are not all between 0 and 1, for which no scale to "
            "8 bits is known. Bring all images alike to 0 to 1, or save 8-bit or 16-bit images."
        )
    return np.round(values * np.float32(2**16 - 1)).astype(np.uint16)[..., None]


def _by_opencv(image: Image.Image, content: bytes, name: str) -> NDArray[np.uint16]:
    """16-bit colour, of which Pillow keeps 8 bits only."""
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape[:2] != image.size[::-1]:
        raise ImageError(
            f"{name} has pixels of a kind that is not understood ({image.mode}, more than 8 bits). "
            "Save it as 8-bit or 16-bit grey or RGB."
        )
    values = values if values.ndim == 3 else values[..., None]
    if values.shape[2] >= 3:
        values = values[..., [2, 1, 0, 3][: values.shape[2]]]
    return values.astype(np.uint16, copy=False)


def _pnm_header(content: bytes) -> tuple[bytes, int, int, int, int]:
    """Kind, width, height and value of white of a PGM or PPM file, and where its pixels begin."""
    gap = rb"(?:\s|#[^\n\r]*[\n\r])+"
    number = gap + rb"(\d{1,9})"
    header = re.match(rb"(P[2356])" + 3 * number + rb"\s", content)
    if header is None:
        return b"", 0, 0, 255, 0
    return header[1], int(header[2]), int(header[3]), int(header[4]), header.end()


def _of_pnm(content: bytes, name: str) -> tuple[NDArray[np.uint16], int]:
    """The values of a 16-bit PGM or PPM file as they are stored, and the value of white."""
    kind, width, height, maximum, start = _pnm_header(content)
    n_channels = 3 if kind in (b"P3", b"P6") else 1
    n = width * height * n_channels
    if kind in (b"P5", b"P6"):
        values = np.frombuffer(content, ">u2", n, start).astype(np.uint16)
        # Some cameras write the low byte first, against the format.
        swapped = values.byteswap()
        if values.max(initial=0) > maximum >= swapped.max(initial=0):
            values = swapped
    else:
        text = re.sub(rb"#[^\n\r]*", b"", content[start:]).split(None, n)
        values = np.array([int(v) for v in text[:n]], np.uint16)
    if values.max(initial=0) > maximum:
        raise ImageError(f"{name} has values above the {maximum} that it states. It is damaged.")
    stated = maximum if maximum < 2**16 - 1 else 0
    return values.reshape(height, width, n_channels), stated


def _is_scaled(content: bytes) -> bool:
    """Whether Pillow has scaled the values of a JPEG 2000 file, of fewer bits, to 16 bits."""
    size_marker = content.find(b"\xff\x51")
    return (content[size_marker + 40] & 127) + 1 < 16


def _without_metadata(jpeg: bytes) -> tuple[bytes, bytes, bytes]:
    """A JPEG without EXIF, XMP and further pictures' index, on which decoders stumble; both."""
    exif, xmp, start = b"", b"", 2
    kept = [jpeg[:2]]
    while jpeg[start : start + 1] == b"\xff" and jpeg[start + 1 : start + 2] not in (b"\xda", b""):
        if jpeg[start + 1] == 0xFF:  # padding
            start += 1
            continue
        if 0xD0 <= jpeg[start + 1] <= 0xD8 or jpeg[start + 1] == 1:  # markers without a length
            end = start + 2
        else:
            end = start + 2 + max(2, int.from_bytes(jpeg[start + 2 : start + 4], "big"))
        marker, body = jpeg[start + 1], jpeg[start + 4 : end]
        if marker == 0xE1 and body.startswith(b"Exif\0"):
            exif = exif or body
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/"):
            xmp = xmp or body
        elif not (marker == 0xE2 and body.startswith(b"MPF\0")):
            kept.append(jpeg[start:end])
        start = end
    return b"".join([*kept, jpeg[start:]]), exif, xmp


def _metadata(image: Image.Image) -> tuple[bytes, bytes]:
    """EXIF and XMP of a picture of another format than JPEG or TIFF."""
    exif, xmp = image.info.get("exif", b""), image.info.get("xmp", b"")
    in_png = image.info.get("XML:com.adobe.xmp", "")
    raw = image.info.get("Raw profile type exif", "")
    if not exif and isinstance(raw, str) and raw:
        digits = "".join(raw.split("\n")[3:])
        exif = bytes.fromhex(digits) if re.fullmatch("([0-9a-fA-F]{2})*", digits) else b""
    if not xmp and isinstance(in_png, str):
        xmp = in_png.encode("utf-8", "replace")
    if image.format == "TIFF":
        exif = b""
    return (exif if isinstance(exif, bytes) else b""), (xmp if isinstance(xmp, bytes) else b"")


def _n_pages(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # a damaged page further on; the first one is read all the same
        return 1
    finally:
        if image.tell():
            image.seek(0)


def _too_large(name: str, error: BaseException) -> ImageError:
    pixels = re.search(r"\((\d+) pixels\)", str(error))
    size = "needs more memory than there is"
    if pixels:
        size = f"has {int(pixels[1]) / 1e6:.0f} megapixels"
    return ImageError(
        f"{name} {size}, which is too large for one pass (at most {MAX_MEGAPIXELS} megapixels). "
        "Cut it into tiles, all images alike, or scale it down, and give those."
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged at its beginning"
    return str(error).rstrip(".") or type(error).__name__
