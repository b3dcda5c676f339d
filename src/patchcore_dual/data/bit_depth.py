"""Bit depth: how many bits of 16-bit files a camera really uses (10, 12, 14 …).

A file does not say so, and one image cannot: a dark part of 16 bits and a bright one of 12 look
alike. It is one number for a whole data set, found from the largest value of all its images.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.decoding import decode
from patchcore_dual.data.schema import PREPARATION_NAME
from patchcore_dual.errors import ImageError, SettingsError

USUAL_DEPTHS = (8, 10, 12, 14, 16)


def bits_for(largest: int) -> int:
    """The smallest usual bit depth that holds a value.

    >>> [bits_for(largest) for largest in (1023, 1024, 4095, 16383, 40000)]
    [10, 12, 12, 14, 16]
    """
    return next(bits for bits in USUAL_DEPTHS if largest < 2**bits)


def find_bit_depth(paths: Iterable[Path]) -> int | None:
    """The bit depth of the 16-bit files among some images; None if there is none.

    Files that state their scale themselves (PGM, 12-bit TIFF, floating point) have no say, and
    files that cannot be read are passed over.
    """
    largest = -1
    for path in paths:
        try:
            decoded = decode(path, only_deep=True)
        except ImageError:
            continue
        if decoded is not None and decoded.values is not None and not decoded.stated_maximum:
            largest = max(largest, int(decoded.values[..., : decoded.n_colours].max()))
        if largest >= 2**14:
            break  # no image can change it any more
    return bits_for(largest) if largest >= 0 else None


def check_bit_depth(bit_depth: int) -> int:
    """The bit depth itself; SettingsError unless it lies between 8 and 16."""
    if not 8 <= bit_depth <= 16:
        raise SettingsError(f"The bit depth is {bit_depth}; it lies between 8 and 16.")
    return bit_depth


def source_bit_depth(prepared: Path) -> int | None:
    """The bit depth that a prepared data set was read with; None where it does not say."""
    try:
        found = json.loads((prepared / PREPARATION_NAME).read_text(encoding="utf-8"))
        return check_bit_depth(int(found["bit_depth"]))
    except (OSError, ValueError, KeyError, TypeError, SettingsError):
        return None  # made by another program, by an older version, or of 8-bit files


def to_8_bits(values: NDArray[np.uint16], maximum: int) -> NDArray[np.uint8]:
    """Scale 0 … maximum linearly to 0 … 255, rounded.

    >>> to_8_bits(np.array([0, 2048, 4095], np.uint16), 4095).tolist()
    [0, 128, 255]
    """
    factor = np.float32(maximum / 255)
    table = np.round(np.arange(maximum + 1, dtype=np.float32) / factor).astype(np.uint8)
    return table[values]


def scale_of(values: NDArray[np.uint16], bit_depth: int | None, name: str) -> int:
    """The value that becomes 255 in a file which does not state it.

    Raises:
        ImageError: a value exceeds the bit depth; or the depth is not known, and the image is too
            dark to be sure that all 16 bits are used.
    """
    largest = int(values.max(initial=0))
    if bit_depth is None:
        if 0 < largest < 2**14:
            raise ImageError(
                f"{name} is a 16-bit file whose largest value is {largest}, and how many of its "
                f"bits are used ({bits_for(largest)}?) is not known: no such file was among the "
                "images of the data set. Prepare the data set from files of this kind "
                "(prepare --bit-depth N), or save this one with 8 bits."
            )
        return 2**16 - 1
    if largest >= 2**bit_depth:
        raise ImageError(
            f"{name} has the value {largest}, above the {2**bit_depth - 1} of the {bit_depth} bits "
            "that its data set uses. Check the camera's settings, or prepare the data set with "
            f"--bit-depth {bits_for(largest)}."
        )
    return int(2**bit_depth - 1)
