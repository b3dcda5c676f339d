"""Where a synthetic defect goes on a good image: a real defect's mask moved there, or a drawn one.

Every choice takes its randomness from the generator it is given.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.errors import DataError
from patchcore_dual.synthesis.generator import (
    MIN_CHANGED_PIXELS,
    AskedMask,
    RealDefect,
    UnusableDefectError,
)
from patchcore_dual.synthesis.masks.drawing import draw

SCALES = 0.75, 1.35
# Cracks and grain run one way in real sets (KolektorSDD, Magnetic Tile); further turned, a
# transplant shows as a strip of surface whose grain crosses its neighbours'.
MAX_TURN = 12.0  # degrees, for defects up to SLIM pixels across; less for the wider
SLIM = 20.0
ON_PART = 0.9  # share of a moved mask that has to lie on the part
TRIES = 40

Window = tuple[slice, slice]


def margin(shape: tuple[int, ...]) -> int:
    """Pixels of sound surface around a borrowed mask, in which a generator can blend."""
    height, width = shape[:2]
    return max(3, round(float(np.hypot(height, width)) / 200))


def borrow_mask(donor: RealDefect, normal: np.ndarray, part: np.ndarray, rng: Rng) -> AskedMask:
    """The mask of a real training defect, mirrored, scaled, turned and moved over the part.

    Of several defects in the donor one is taken, larger ones more often; pieces that lie close
    together are one defect. A defect that runs out of the donor's picture runs out of the new one
    at the same (or, mirrored, the opposite) side where the part reaches it, because its cut end
    would look wrong anywhere else. The mask is grown by `margin`.

    Args:
        donor: whose mask.
        normal: uint8 `[H, W, 3]`, the good image.
        part: bool `[H, W]`, where the part is on it (`part_region`).

    Raises DataError where the donor's mask is unusable, UnusableDefectError where it did not fit
    this time.
    """
    _check(donor, part, normal)
    defect = _pick(donor, rng)
    mirror = rng.random(2) < 0.5
    across = 2 * cv2.distanceTransform(defect.astype(np.uint8), cv2.DIST_L2, 3).max()
    most = MAX_TURN * min(SLIM / across, 1)
    scale, turn = float(rng.uniform(*SCALES)), float(rng.uniform(-most, most))
    linear = _linear(mirror, scale, turn)
    shape, corner = _moved(defect, linear)
    sides = _open_sides(defect, mirror)
    shift = _place(shape, sides, part, rng)
    if shift is None:
        raise UnusableDefectError(
            f"the defect of {donor.name}, scaled by {scale:.2f}, found no room on the part"
        )
    matrix = np.column_stack([linear, shift - corner])
    height, width = part.shape
    pixels = moved_mask(defect, matrix, (slice(0, height), slice(0, width)))
    reach = margin(normal.shape)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    pixels = cv2.dilate(pixels.astype(np.uint8), kernel).astype(bool) & part
    return AskedMask(
        pixels=pixels,
        kind=donor.kind,
        donor=donor,
        matrix=matrix,
        provenance={
            "mask": "borrowed",
            "donor": donor.name,
            "scale": round(scale, 4),
            "turn": round(turn, 2),
            "mirrored": [bool(m) for m in mirror],
            "matrix": matrix.round(4).tolist(),
        },
    )


def draw_mask(normal: np.ndarray, part: np.ndarray, rng: Rng) -> AskedMask:
    """A scratch, a spot or a crack drawn somewhere on the part; for when no real one is known.

    Args as for `borrow_mask`. Raises UnusableDefectError where it did not fit this time.
    """
    if part.shape != normal.shape[:2]:
        raise DataError("the part's region and the good image differ in size.")
    kind = str(rng.choice(("scratch", "spot", "crack")))
    shape = draw(kind, float(np.sqrt(part.sum())), rng)
    shift = _place(shape, _Sides(), part, rng)
    if shift is None:
        raise UnusableDefectError(f"the drawn {kind} found no room on the part")
    pixels = np.zeros(part.shape, bool)
    x, y = shift
    pixels[y : y + shape.shape[0], x : x + shape.shape[1]] = shape
    return AskedMask(pixels & part, kind, provenance={"mask": "drawn", "shape": kind})


def defect_within(mask: AskedMask, window: Window) -> np.ndarray:
    """bool, of the window's size: where in an asked mask the defect itself is.

    For a borrowed mask the donor's defect without the margin; for a drawn one all of it.
    """
    asked = mask.pixels[window]
    if mask.donor is None or mask.matrix is None:
        return asked
    defect = moved_mask(mask.donor.mask, mask.matrix, window) & asked
    return defect if defect.any() else asked


def moved_mask(defect: np.ndarray, matrix: np.ndarray, window: Window) -> np.ndarray:
    """bool: a mask taken by `matrix` to a new image, as far as it lies in that image's window."""
    height, width = (s.stop - s.start for s in window)
    # Linear and above a third, because nearest neighbour tears the thinnest cracks.
    moved = cv2.warpAffine(defect.astype(np.float32), into(matrix, window), (width, height))
    return moved > 1 / 3


def into(matrix: np.ndarray, window: Window) -> np.ndarray:
    """The `[2, 3]` matrix that leads to pixels of a window where `matrix` led to the image's."""
    return matrix - [[0, 0, window[1].start], [0, 0, window[0].start]]


def window_around(mask: np.ndarray, reach: int) -> Window:
    """The rows and columns of the image at most `reach` pixels from the mask's box."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return (
        slice(max(y - reach, 0), min(y + height + reach, mask.shape[0])),
        slice(max(x - reach, 0), min(x + width + reach, mask.shape[1])),
    )


@dataclass(frozen=True)
class _Sides:
    """Through which sides of the picture a defect runs out."""

    left: bool = False
    right: bool = False
    top: bool = False
    bottom: bool = False


def _check(donor: RealDefect, part: np.ndarray, normal: np.ndarray) -> None:
    if part.shape != normal.shape[:2]:
        raise DataError("the part's region and the good image differ in size.")
    if donor.mask.shape != donor.image.shape[:2]:
        raise DataError(f"{donor.name}: image and mask differ in size. Prepare the data set again.")
    if donor.mask.sum() < MIN_CHANGED_PIXELS:
        raise DataError(
            f"{donor.name}: its mask has fewer than {MIN_CHANGED_PIXELS} pixels, so there is no "
            "shape to borrow. Mark the defect, or leave the image out."
        )
    if donor.mask.all():
        raise DataError(
            f"{donor.name}: its mask covers the whole image, so there is no shape to borrow. "
            "Mark the defect alone, or leave the image out."
        )


def _pick(donor: RealDefect, rng: Rng) -> np.ndarray:
    """bool `[H, W]`: one of the donor's defects, chosen by area."""
    mask = donor.mask.astype(np.uint8)
    reach = 2 * margin(mask.shape)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    _, labels = cv2.connectedComponents(cv2.dilate(mask, kernel))
    areas = np.bincount(labels[donor.mask])
    areas[areas < MIN_CHANGED_PIXELS] = 0
    if not areas.any():
        return donor.mask  # specks alone: all of them together
    return donor.mask & (labels == rng.choice(len(areas), p=areas / areas.sum()))


def _linear(mirror: np.ndarray, scale: float, turn: float) -> np.ndarray:
    angle = np.deg2rad(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * rotation @ np.diag(np.where(mirror, -1.0, 1.0))


def _moved(defect: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The turned and scaled defect in its own box, bool `[h, w]`, and its corner (x, y)."""
    x, y, width, height = cv2.boundingRect(defect.astype(np.uint8))
    corners = np.array([(x, y), (x + width, y), (x, y + height), (x + width, y + height)])
    moved = corners @ linear.T
    low, high = np.floor(moved.min(0)) - 1, np.ceil(moved.max(0)) + 1
    columns, rows = (high - low).astype(int)
    shape = moved_mask(defect, np.column_stack([linear, -low]), (slice(0, rows), slice(0, columns)))
    x, y, width, height = cv2.boundingRect(shape.astype(np.uint8))
    return shape[y : y + height, x : x + width], low + np.array((x, y))


def _open_sides(defect: np.ndarray, mirror: np.ndarray) -> _Sides:
    left, right = defect[:, 0].any(), defect[:, -1].any()
    top, bottom = defect[0].any(), defect[-1].any()
    if mirror[0]:
        left, right = right, left
    if mirror[1]:
        top, bottom = bottom, top
    return _Sides(bool(left), bool(right), bool(top), bool(bottom))


def _place(shape: np.ndarray, sides: _Sides, part: np.ndarray, rng: Rng) -> np.ndarray | None:
    """Where the corner (x, y) of a shape can be; None where no place was found."""
    height, width = shape.shape
    free = _Sides()
    for attempt in range(TRIES):
        kept = sides if attempt < TRIES // 2 else free
        x = _along(width, part.shape[1], kept.left, kept.right, rng)
        y = _along(height, part.shape[0], kept.top, kept.bottom, rng)
        if x is None or y is None:
            continue
        inside = part[max(y, 0) : y + height, max(x, 0) : x + width]
        seen = shape[max(-y, 0) :, max(-x, 0) :][: inside.shape[0], : inside.shape[1]]
        area = int((seen & inside).sum())
        if area >= max(ON_PART * seen.sum(), MIN_CHANGED_PIXELS):
            return np.array((x, y))
    return None


def _along(length: int, size: int, low: bool, high: bool, rng: Rng) -> int | None:
    """Where something can begin on an axis; one that runs out there has its end cut off."""
    room = size - length
    cut = 2 if length > 8 else 0
    if low and high:
        return int(rng.integers(min(room, 0), max(room, 0) + 1))
    if low:
        return -cut
    if high:
        return room + cut
    return int(rng.integers(room + 1)) if room >= 0 else None
