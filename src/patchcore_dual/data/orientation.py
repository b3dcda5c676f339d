"""Orientation of photographs: which way up EXIF says that a stored picture is to be shown.

The one number is read by itself. The rest of EXIF, which cameras and editors fill with much that no
standard allows, is neither read nor written.
"""

import re
import struct
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_ORIENTATION = 0x0112
_FORMATS = {
    1: "B",
    3: "H",
    4: "I",
    8: "h",
    9: "i",
}  # of the types of number that stand for an orientation
_IN_XMP = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|>\s*)([1-8])\b""")

Pixel = TypeVar("Pixel", bound=np.generic)


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """The orientation, 1 to 8, that EXIF gives, else XMP; 1, upright, where neither does."""
    place = _find_orientation(exif.removeprefix(b"Exif\0\0"))
    if place:
        return place[0]
    in_xmp = _IN_XMP.search(xmp)
    return int(in_xmp[1]) if in_xmp else 1


def without_orientation(tiff: bytes) -> tuple[bytes, int]:
    """A TIFF file that is stored as 1, upright, and the orientation that it had."""
    place = _find_orientation(tiff)
    if not place or place[0] == 1:
        return tiff, 1
    orientation, offset, number = place
    return tiff[:offset] + struct.pack(number, 1) + tiff[offset + struct.calcsize(number) :], (
        orientation
    )


def turn(pixels: NDArray[Pixel], orientation: int) -> NDArray[Pixel]:
    """Bring stored pixels [H, W, ...] upright.

    >>> turn(np.array([[1, 2, 3]]), 6).tolist()
    [[1], [2], [3]]
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    rows = slice(None, None, -1) if orientation in (3, 4, 7, 8) else slice(None)
    columns = slice(None, None, -1) if orientation in (2, 3, 6, 7) else slice(None)
    return pixels[rows, columns]


def _find_orientation(tiff: bytes) -> tuple[int, int, str] | None:
    """Value, offset and number format of the orientation in the first directory of a TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None

    def at(number: str, offset: int) -> Any:
        return struct.unpack_from(order + number, tiff, offset)[0]

    try:
        is_big = at("H", 2) == 43
        start = at("Q", 8) if is_big else at("I", 4)
        n_entries, entries = (at("Q", start), start + 8) if is_big else (at("H", start), start + 2)
        length, value = (20, 12) if is_big else (12, 8)
        for entry in range(entries, entries + length * min(n_entries, 4096), length):
            if at("H", entry) == _ORIENTATION:
                number = _FORMATS.get(at("H", entry + 2))
                if number is None:
                    return None
                found = at(number, entry + value)
                return (found, entry + value, order + number) if 1 <= found <= 8 else None
    except struct.error:  # the directory lies beyond the end
        pass
    return None
