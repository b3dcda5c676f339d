"""Reading masks: which pixels of a file mark a defect (thesis 3.2)."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from patchcore_dual.errors import ImageError

_LOSSY_FORMATS = frozenset({"JPEG", "MPO", "WEBP"})
# Raised by Pillow for damaged files, depending on their format.
_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def read_mask(path: Path | str) -> NDArray[np.bool_]:
    """Read a mask file: a pixel is defective where its grey value is above 127.

    A lossless file without any value above 127 holds labels (0 and 1, or other small numbers):
    there, every pixel above 0 is defective.

    Returns:
        bool [H, W], True in defects.

    Raises:
        ImageError: the file is missing, truncated or not an image.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image.fromarray(np.array([[0, 255, 255]], np.uint8)).save(f"{folder}/mask.png")
    ...     read_mask(f"{folder}/mask.png")
    array([[False,  True,  True]])
    """
    image = _open_upright(Path(path))
    lossless = image.format not in _LOSSY_FORMATS
    grey = np.asarray(image) if image.mode.startswith("I;16") else np.asarray(image.convert("L"))
    middle = 127 * 257 if grey.dtype == np.uint16 else 127
    if lossless and grey.max(initial=0) <= middle:
        return grey > 0
    return grey > middle


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
            f"{path} cannot be read as an image ({str(error).rstrip('.')}). "
            "Replace the file with an intact copy or remove it."
        ) from None
