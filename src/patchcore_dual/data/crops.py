"""Boxes around defects: tight ones, and enlarged ones for defect crops (thesis 3.2, 5.3.2)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

GROWTH = 1.25  # side of a crop, relative to that of the tight box
MIN_SIDE = 64  # of a crop, in pixels


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle of pixels: columns x to x + width - 1, rows y to y + height - 1."""

    x: int
    y: int
    width: int
    height: int

    def cut(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """The pixels of an array [H, W, ...] inside the box, as a view."""
        return array[self.y : self.y + self.height, self.x : self.x + self.width]

    def overlaps(self, other: "Box") -> bool:
        """Whether the two boxes share a pixel."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def union(self, other: "Box") -> "Box":
        """The smallest box that contains both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right = max(self.x + self.width, other.x + other.width)
        bottom = max(self.y + self.height, other.y + other.height)
        return Box(x, y, right - x, bottom - y)


def defect_boxes(mask: NDArray[np.bool_]) -> list[Box]:
    """The tight box of each 8-connected defect of a mask, bool [H, W], from top to bottom."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    boxes = [Box(*map(int, row[:4])) for row in stats[1:]]
    return sorted(boxes, key=lambda b: (b.y, b.x, b.height, b.width))


def crop_boxes(mask: NDArray[np.bool_]) -> list[Box]:
    """The boxes of the defect crops of an image, from top to bottom.

    The tight box of each defect is enlarged by 25 % (half of that on each side) and to at least 64
    pixels a side, or to the whole image where that is smaller, and moved into the image. Boxes
    that overlap are merged until none do.

    Args:
        mask: bool [H, W], True in defects.

    >>> mask = np.zeros((300, 200), dtype=bool)
    >>> mask[100:200, 50:58] = True
    >>> crop_boxes(mask)
    [Box(x=22, y=88, width=64, height=125)]
    """
    height, width = mask.shape
    return _merge_overlapping(_grow(box, width, height) for box in defect_boxes(mask))


def _grow(box: Box, image_width: int, image_height: int) -> Box:
    x, width = _grow_side(box.x, box.width, image_width)
    y, height = _grow_side(box.y, box.height, image_height)
    return Box(x, y, width, height)


def _grow_side(start: int, length: int, limit: int) -> tuple[int, int]:
    grown = min(max(-int(-length * GROWTH // 1), MIN_SIDE), limit)
    start = start - (grown - length) // 2
    return max(0, min(start, limit - grown)), grown


def _merge_overlapping(boxes: Iterable[Box]) -> list[Box]:
    merged: list[Box] = []
    for box in boxes:
        # The union of two boxes can overlap others that neither of the two did: repeat until none.
        while overlapping := [other for other in merged if box.overlaps(other)]:
            for other in overlapping:
                merged.remove(other)
                box = box.union(other)
        merged.append(box)
    return sorted(merged, key=lambda b: (b.y, b.x))
