"""Target masks: a real defect's mask moved onto a normal image, or a drawn one."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.errors import DataError
from patchcore_dual.synthesis.generator import (
    MIN_CHANGED_PIXELS,
    TargetMask,
    UnusableDefectError,
)
from patchcore_dual.synthesis.masks.shapes import draw_shape
from patchcore_dual.synthesis.masks.windows import moved_mask
from patchcore_dual.synthesis.real_defects import RealDefect

SCALES = 0.75, 1.35
# Cracks and grain share one direction in real data sets (KolektorSDD, Magnetic Tile). With more
# rotation, a transplant shows as a strip of surface whose grain crosses that of its neighbours.
MAX_TURN = 12.0  # degrees, for defects up to SLIM pixels across; less for wider ones
SLIM = 20.0
ON_PART = 0.9  # fraction of a moved mask that has to lie on the part
TRIES = 40


def margin(shape: tuple[int, ...]) -> int:
    """Pixels of normal surface around a borrowed mask, in which a generator can blend."""
    height, width = shape[:2]
    return max(3, round(float(np.hypot(height, width)) / 200))


def borrow_mask(donor: RealDefect, normal: np.ndarray, part: np.ndarray, rng: Rng) -> TargetMask:
    """The mask of a real training defect, mirrored, scaled, rotated and moved onto the part.

    Of several defects in the donor one is chosen, with a probability proportional to its area;
    pieces that lie close together count as one defect. A defect that runs out of the donor's
    picture also runs out of the new one, on the same side (or the opposite one, if mirrored) where
    the part reaches it, because its cut end would look wrong anywhere else. The mask is grown by
    `margin`.

    >>> mask = np.zeros((64, 64), bool)
    >>> mask[30:33, 20:40] = True
    >>> surface = np.full((64, 64, 3), 120, np.uint8)
    >>> donor = RealDefect("0001.png", surface, mask, kind="scratch")
    >>> everywhere = np.ones((64, 64), bool)
    >>> target = borrow_mask(donor, surface, everywhere, np.random.default_rng(0))
    >>> target.pixels.shape, target.kind, target.provenance["donor"]
    ((64, 64), 'scratch', '0001.png')

    Args:
        donor: the defect to borrow.
        normal: uint8 `[H, W, 3]`, the normal image.
        part: bool `[H, W]`, the region of the workpiece on it (`part_region`).
        rng: source of all randomness.

    Returns:
        The target mask, with its donor and the matrix of the motion.

    Raises:
        DataError: where the donor's mask is unusable, or sizes differ.
        UnusableDefectError: where the moved mask found no room; another attempt may.
    """
    _check_donor(donor, part, normal)
    defect = _pick(donor, rng)
    mirror = rng.random(2) < 0.5
    across = 2 * cv2.distanceTransform(defect.astype(np.uint8), cv2.DIST_L2, 3).max()
    most = MAX_TURN * min(SLIM / across, 1)
    scale, turn = float(rng.uniform(*SCALES)), float(rng.uniform(-most, most))
    linear = _linear(mirror, scale, turn)
    shape, corner = _moved(defect, linear)
    sides = _open_sides(defect, mirror)
    shift = _find_room(shape, sides, part, rng)
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
    return TargetMask(
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


def draw_mask(normal: np.ndarray, part: np.ndarray, rng: Rng) -> TargetMask:
    """A scratch, spot or crack drawn somewhere on the part, where no real mask is available.

    >>> surface = np.full((64, 64, 3), 120, np.uint8)
    >>> target = draw_mask(surface, np.ones((64, 64), bool), np.random.default_rng(1))
    >>> target.kind in ("scratch", "spot", "crack"), target.donor
    (True, None)

    Args:
        normal: uint8 `[H, W, 3]`, the normal image.
        part: bool `[H, W]`, the region of the workpiece on it (`part_region`).
        rng: source of all randomness.

    Returns:
        The target mask, without a donor.

    Raises:
        DataError: where sizes differ.
        UnusableDefectError: where the shape found no room; another attempt may.
    """
    if part.shape != normal.shape[:2]:
        raise DataError("the part's region and the normal image differ in size.")
    kind = str(rng.choice(("scratch", "spot", "crack")))
    shape = draw_shape(kind, float(np.sqrt(part.sum())), rng)
    shift = _find_room(shape, _Sides(), part, rng)
    if shift is None:
        raise UnusableDefectError(f"the drawn {kind} found no room on the part")
    pixels = np.zeros(part.shape, bool)
    x, y = shift
    pixels[y : y + shape.shape[0], x : x + shape.shape[1]] = shape
    return TargetMask(pixels & part, kind, provenance={"mask": "drawn", "shape": kind})


@dataclass(frozen=True)
class _Sides:
    """The sides of the picture through which a defect runs out."""

    left: bool = False
    right: bool = False
    top: bool = False
    bottom: bool = False


def _check_donor(donor: RealDefect, part: np.ndarray, normal: np.ndarray) -> None:
    if part.shape != normal.shape[:2]:
        raise DataError("the part's region and the normal image differ in size.")
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
    """One of the donor's defects, chosen with a probability proportional to its area."""
    mask = donor.mask.astype(np.uint8)
    reach = 2 * margin(mask.shape)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    _, labels = cv2.connectedComponents(cv2.dilate(mask, kernel))
    areas = np.bincount(labels[donor.mask])
    areas[areas < MIN_CHANGED_PIXELS] = 0
    if not areas.any():
        return donor.mask  # only specks: use all of them together
    return donor.mask & (labels == rng.choice(len(areas), p=areas / areas.sum()))


def _linear(mirror: np.ndarray, scale: float, turn: float) -> np.ndarray:
    angle = np.deg2rad(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * rotation @ np.diag(np.where(mirror, -1.0, 1.0))


def _moved(defect: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rotated and scaled defect in its bounding box, bool `[h, w]`, and the corner (x, y)."""
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


def _find_room(shape: np.ndarray, sides: _Sides, part: np.ndarray, rng: Rng) -> np.ndarray | None:
    """A position (x, y) for the corner of a shape; None where it has no room on the part."""
    height, width = shape.shape
    free = _Sides()
    for attempt in range(TRIES):
        kept = sides if attempt < TRIES // 2 else free
        x = _along(width, part.shape[1], kept.left, kept.right, rng)
        y = _along(height, part.shape[0], kept.top, kept.bottom, rng)
        if x is None or y is None:
            continue
        inside = part[max(y, 0) : y + height, max(x, 0) : x + width]
        visible = shape[max(-y, 0) :, max(-x, 0) :][: inside.shape[0], : inside.shape[1]]
        area = int((visible & inside).sum())
        if area >= max(ON_PART * visible.sum(), MIN_CHANGED_PIXELS):
            return np.array((x, y))
    return None


def _along(length: int, size: int, low: bool, high: bool, rng: Rng) -> int | None:
    """A random start along one axis; a shape that runs out of the picture has its end cut off."""
    room = size - length
    cut = 2 if length > 8 else 0
    if low and high:
        return int(rng.integers(min(room, 0), max(room, 0) + 1))
    if low:
        return -cut
    if high:
        return room + cut
    return int(rng.integers(room + 1)) if room >= 0 else None
