"""`read_pixels`: the pixels of whatever a program holds of an image.

What is unambiguous is taken; for the rest, the error says how to make it so.
"""

import io
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image as Pillow

from patchcore_dual.data.decoding import turn_image
from patchcore_dual.data.orientation import orientation_of
from patchcore_dual.data.reading import Reading, read
from patchcore_dual.errors import ImageError


class Tensor(Protocol):
    """A PyTorch tensor, which is taken without importing PyTorch."""

    def detach(self) -> Any: ...
    def cpu(self) -> Any: ...


Image = np.ndarray | os.PathLike[str] | str | bytes | Pillow.Image | Tensor
"""What can be inspected: the path of an image file, the bytes of one, an array or PyTorch tensor
uint8 `[H, W, 3]` (RGB) or `[H, W]` (grey), a tensor uint8 `[3, H, W]`, or a Pillow image."""

_ORIENTATION = 0x0112  # the tag's number in EXIF
_MODES_OF_PNG = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")


def read_pixels(
    image: Image, name: str = "", bit_depth: int | None = None
) -> tuple[np.ndarray, str, str]:
    """An image's pixels, its name, which is a file's path by default, and how it was read.

    >>> pixels, _, _ = read_pixels(np.full((2, 4), 7, np.uint8))
    >>> pixels.shape, pixels[0, 0].tolist()
    ((2, 4, 3), [7, 7, 7])

    Returns:
        uint8 `[H, W, 3]`, RGB, contiguous, never the caller's own array; the name;
        and a note of how a file was read, empty where there is nothing to say.

    Raises:
        ImageError: for a file that cannot be read, or something else than an `Image`.
    """
    if isinstance(image, str | os.PathLike):
        if os.path.isdir(image):
            raise ImageError(
                f"{image} is a folder. Give its images one by one, or to inspect_many as a list."
            )
        reading = read(Path(image), bit_depth)
        return reading.pixels, name or str(image), reading.how.note
    what = name or "the image"
    if isinstance(image, bytes | bytearray | memoryview):
        reading = read(bytes(image), bit_depth, what)
        return reading.pixels, name, reading.how.note
    if isinstance(image, Pillow.Image):
        reading = _of_pillow(image, what, bit_depth)
        return reading.pixels, name, reading.how.note
    if isinstance(image, np.ndarray):
        return _rgb(image, what), name, ""
    if hasattr(image, "detach") and hasattr(image, "cpu"):  # a PyTorch tensor, on any device
        try:
            array = image.detach().cpu().numpy()
        except (TypeError, RuntimeError) as error:
            raise ImageError(f"{what} is a tensor without an array ({error}).") from None
        return _rgb(_planes_last(array, what), what), name, ""
    if image is None:
        raise ImageError(
            f"{what} is None: cv2.imread returns None for a file that is missing or no image. "
            "Check the path, or give the path itself."
        )
    raise ImageError(
        f"{what} is a {type(image).__name__}; give a path, the bytes of an image file, a Pillow "
        "image, or an array uint8 [H, W, 3], RGB, or [H, W], grey."
    )


def _rgb(array: np.ndarray, name: str) -> np.ndarray:
    """A contiguous copy, uint8 `[H, W, 3]`, of an array in RGB or grey."""
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if array.dtype == np.uint8 and array.size and grey:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if array.dtype == np.uint8 and array.size and array.ndim == 3 and array.shape[2] == 3:
        return np.array(array, order="C", subok=False)
    raise ImageError(
        f"{name} is {array.dtype} {list(array.shape)}; give uint8 [H, W, 3], RGB, or [H, W], "
        f"grey{_advice(array)}."
    )


def _advice(array: np.ndarray) -> str:
    """How an array of a usual wrong kind is made a right one."""
    if array.size and array.dtype != np.uint8:
        return ": bring its values to 0 to 255, for all images alike, then .astype(numpy.uint8)"
    if array.ndim == 3 and array.shape[2] == 4:
        return ": leave the fourth channel out with image[..., :3]"
    if array.ndim == 3 and array.shape[0] == 3:
        return ": put the channels last with image.transpose(1, 2, 0)"
    if array.ndim == 4:
        return ": give the images of a batch one by one, or to inspect_many"
    return ""


def _planes_last(array: np.ndarray, name: str) -> np.ndarray:
    """A tensor's values with the channels last; tensors usually have them first."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[0] not in (1, 3):
        return array
    if array.shape[2] == array.shape[0]:
        raise ImageError(
            f"{name} is a tensor {list(array.shape)}, of which either end may be the channels. "
            "Give a NumPy array uint8 [H, W, 3]."
        )
    return array if array.shape[2] == 3 else array.transpose(1, 2, 0)


def _of_pillow(image: Pillow.Image, name: str, bit_depth: int | None) -> Reading:
    """As the file would be read that the image came from, or could be saved to."""
    try:
        upright = turn_image(image, _orientation(image))
        if upright.mode in ("L", "RGB") and not upright.has_transparency_data:
            return Reading(_rgb(np.asarray(upright), name))
        # Palettes, transparency, more than 8 bits: one rule for all, that of files.
        file = io.BytesIO()
        if upright.mode in _MODES_OF_PNG:
            upright.save(file, format="PNG", compress_level=1, exif=b"")
        else:
            upright.save(file, format="TIFF")
    except (OSError, SyntaxError, ValueError, TypeError, EOFError) as error:
        raise ImageError(f"{name} cannot be read from Pillow ({error}).") from None
    return read(file.getvalue(), bit_depth, name)


def _orientation(image: Pillow.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF may hold anything, and Pillow raises whatever it leads to
        return orientation_of(image.info.get("exif", b""))
