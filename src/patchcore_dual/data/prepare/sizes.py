"""The size of prepared images: checked, or proposed from the images and their defects."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.resizing import MAX_DISTORTION, distortion
from patchcore_dual.errors import SettingsError

MIN_SIDE = 16  # one cell of the coarser of the usual levels
MAX_PIXELS = 2**24  # that a network takes in one pass; more are fitted by tiles
MOST_PIXELS = 2**27
CELL = 8  # pixels that a cell of the feature grid is wide, with one resolution and levels 2, 3

# A proposal has at least LEAST and at most MOST cells, and USUAL where no defect is known.
LEAST, USUAL, MOST = 32**2, 48**2, 2**13
KEPT = 2**21  # pixels that `prepare` keeps of larger photographs
SMALL_SHARE = 0.05  # of the images with masks may have defects narrower than a cell
ROUNDING = 0.02  # distortion that a multiple of 32 is worth


@dataclass(frozen=True)
class Original:
    """Name and size of an image as it was, in pixels, and the width of its defect.

    Attributes:
        defect_width: as of the function `defect_width`; 0 where no mask marks a defect.
    """

    name: str
    width: int
    height: int
    defect_width: float = 0.0


@dataclass(frozen=True)
class Proposal:
    """A size in pixels, and a sentence that gives the reasons for it."""

    width: int
    height: int
    reason: str


def check_size(width: int | None, height: int | None) -> None:
    """Raise SettingsError for a size that no model can be fitted on; None for both is native."""
    if width is None and height is None:
        return
    if width is None or height is None or width < 1 or height < 1:
        raise SettingsError("Width and height are two positive numbers, or both left out.")
    if min(width, height) < MIN_SIDE:
        raise SettingsError(
            f"The size {width}x{height} leaves too little to see: give at least {MIN_SIDE} pixels "
            "a side, or leave it to `fit` (--size auto)."
        )
    if width * height > MOST_PIXELS:
        raise SettingsError(
            f"The size {width}x{height} has {width * height / 1e6:,.0f} megapixels; up to "
            f"{MOST_PIXELS / 1e6:.0f} are possible. Give a smaller size, or leave it to `fit` "
            "(--size auto)."
        )


def defect_width(mask: NDArray[np.bool_]) -> float:
    """Diameter in pixels of the largest circle inside the defects of a mask; 0 without any.

    >>> mask = np.zeros((40, 40), bool)
    >>> mask[10:15, 3:33] = True
    >>> defect_width(mask)
    5.0
    """
    if not mask.any():
        return 0.0
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    inside = np.pad(mask[y : y + height, x : x + width].astype(np.uint8), 1)
    return float(2 * cv2.distanceTransform(inside, cv2.DIST_L2, 5).max() - 1)


def _distortion(original: Original, width: int, height: int) -> float:
    return distortion((original.width, original.height), (width, height))


def propose_size(images: Sequence[Original], cell: int = CELL) -> Proposal:
    """The size that keeps proportions and makes the smallest defects some one cell wide.

    Images are enlarged only for cells of more than 8 pixels, so that they have as many cells as
    with those. Without known defects, the size has as many cells as 48x48.

    Args:
        images: all images that are prepared; at least one.
        cell: pixels that a cell of the feature grid is wide, a multiple of 8.

    >>> images = [Original(f"{i}.png", 1600, 1200, defect_width=20) for i in range(5)]
    >>> proposal = propose_size(images)
    >>> proposal.width, proposal.height
    (640, 480)
    >>> proposal = propose_size(images, cell=16)
    >>> proposal.width, proposal.height
    (1280, 960)
    """
    proportion = float(np.median([i.width / i.height for i in images]))
    native = float(np.median([i.width * i.height for i in images]))
    widths = [i.defect_width for i in images if i.defect_width]
    smallest = float(np.quantile(widths, SMALL_SHARE, method="lower")) if widths else 0.0
    times = cell // CELL  # that images may be enlarged
    largest = native * times**2
    wanted = native * (cell / smallest) ** 2 if widths else float(USUAL * cell**2)
    pixels = min(max(wanted, LEAST * cell**2), MOST * cell**2, largest)
    width, height = _size_of(pixels, proportion)
    if pixels == largest:
        (common, count), *_ = Counter((i.width, i.height) for i in images).most_common(1)
        if 2 * count > len(images):
            width, height = common[0] * times, common[1] * times
    enlarged = max(1.0, MIN_SIDE / min(width, height))  # of tiny images alone
    width, height = math.ceil(width * enlarged), math.ceil(height * enlarged)
    scale = math.sqrt(width * height / native)
    if not widths:
        why = "no defect with a mask to go by"
    elif wanted <= pixels:
        why = f"the smallest defects {smallest * scale:.0f} pixels wide"
    elif pixels == largest:
        why = f"nothing made smaller; the smallest defects {smallest * scale:.0f} pixels wide"
    else:
        larger = _size_of(min(wanted, largest, MAX_PIXELS), proportion)
        wide = smallest * math.sqrt(larger[0] * larger[1] / native)
        more = larger[0] * larger[1] / (width * height)
        why = (
            f"the smallest defects {smallest * scale:.1f} pixels wide; with --size {larger[0]}x"
            f"{larger[1]} they have {wide:.1f}, for {more:.1f} times the time and memory"
        )
    many = any(_distortion(i, width, height) > MAX_DISTORTION for i in images)
    return Proposal(
        width,
        height,
        f"Size {width}x{height}, proposed from the images: proportions "
        f"{'of the median image' if many else 'kept'}, {why}. It takes "
        f"{width * height / 256**2:.1f} times the time and memory of 256x256.",
    )


def kept_size(images: Sequence[Original]) -> Proposal:
    """The size that keeps what the photographs have, up to 2 megapixels.

    Args:
        images: all images that are prepared; at least one.

    >>> kept = kept_size([Original("a.png", 640, 480), Original("b.png", 640, 480)])
    >>> kept.width, kept.height
    (640, 480)
    >>> kept = kept_size([Original("a.png", 5000, 4000)])
    >>> kept.width, kept.height
    (1600, 1280)
    """
    (common, count), *_ = Counter((i.width, i.height) for i in images).most_common(1)
    if 2 * count > len(images):
        proportion, native = common[0] / common[1], float(common[0] * common[1])
    else:
        proportion = float(np.median([i.width / i.height for i in images]))
        native = float(np.median([i.width * i.height for i in images]))
    if native <= KEPT and 2 * count > len(images):
        width, height = common
        why = "that of the photographs"
    else:
        width, height = _size_of(min(native, KEPT), proportion)
        why = "about that of the median photograph" if native <= KEPT else "2 megapixels of them"
    enlarged = max(1.0, MIN_SIDE / min(width, height))  # of tiny images alone
    width, height = math.ceil(width * enlarged), math.ceil(height * enlarged)
    return Proposal(
        width,
        height,
        f"Size {width}x{height}, {why}; `fit` chooses the size that it works at.",
    )


def size_notes(images: Sequence[Original], width: int | None, height: int | None) -> list[str]:
    """Warnings that a size distorts images, enlarges them, or is native and very large."""
    if not images:
        return []
    largest = max(images, key=lambda i: i.width * i.height)
    if width is None or height is None:
        if largest.width * largest.height <= MAX_PIXELS:
            return []
        proposal = propose_size(images)
        return [
            f"WARNING: {largest.name} keeps its {largest.width}x{largest.height} pixels, more than "
            f"a network takes in one pass: fit with --tile 1024x1024, or prepare with "
            f"--size {proposal.width}x{proposal.height}."
        ]
    notes = []
    amounts = [(_distortion(i, width, height), i) for i in images]
    above = [one for one in amounts if one[0] > MAX_DISTORTION]
    if above:
        much, worst = max(above, key=lambda one: one[0])
        proposal = propose_size(images)
        remaining = [
            i for i in images if _distortion(i, proposal.width, proposal.height) > MAX_DISTORTION
        ]
        # Of images of many shapes, no size keeps all proportions.
        remedy = (
            f"--size {proposal.width}x{proposal.height} keeps the proportions"
            if len(remaining) < len(above)
            else "The images differ in shape: crop them alike"
        )
        notes.append(
            f"WARNING: {width}x{height} distorts {len(above)} of {len(images)} images by more than "
            f"{MAX_DISTORTION:.0%}, most of all {worst.name} ({worst.width}x{worst.height}, by "
            f"{much:.0%}). {remedy}."
        )
    if width * height > 5 * largest.width * largest.height:
        notes.append(
            f"WARNING: {width}x{height} enlarges all images, which takes time and shows nothing "
            "more."
        )
    return notes


def _size_of(pixels: float, proportion: float) -> tuple[int, int]:
    """Width and height with about so many pixels, multiples of 32 where that distorts little."""
    width, height = math.sqrt(pixels * proportion), math.sqrt(pixels / proportion)
    for unit in (32, 16, 8):
        candidates = [
            (across, max(1, round(across / proportion / unit)) * unit)
            for across in {max(1, math.floor(width / unit)) * unit, math.ceil(width / unit) * unit}
        ]
        best = min(sorted(candidates), key=lambda size: _off(size, proportion))
        if _off(best, proportion) <= ROUNDING and 0.85 <= best[0] * best[1] / pixels <= 1.1:
            return best
    return max(1, round(width)), max(1, round(height))


def _off(size: tuple[int, int], proportion: float) -> float:
    ratio = size[0] / size[1] / proportion
    return max(ratio, 1 / ratio) - 1
