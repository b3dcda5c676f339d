"""Boxes around defects: tight ones, and the grown ones that crops are cut by (3.2, 5.3.2)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

GROWTH = 1.25
MIN_SIDE = 64


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle of pixels: columns x to x + width - 1, rows y to y + height - 1."""

    x: int
    y: int
    width: int
    height: int

    def cut(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """The part of `[H, W, ...]` inside the box, as a view."""
        return array[self.y : self.y + self.height, self.x : self.x + self.width]

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share a pixel."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def union(self, other: "Box") -> "Box":
        """The smallest box that holds both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right = max(self.x + self.width, other.x + other.width)
        bottom = max(self.y + self.height, other.y + other.height)
        return Box(x, y, right - x, bottom - y)


def defect_boxes(mask: NDArray[np.bool_]) -> list[Box]:
    """The tight box of each 8-connected defect of bool [H, W], from top to bottom."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    boxes = [Box(*map(int, row[:4])) for row in stats[1:]]
    return sorted(boxes, key=lambda b: (b.y, b.x, b.height, b.width))


def crop_boxes(mask: NDArray[np.bool_]) -> list[Box]:
    """The boxes by which the defects of bool [H, W] are cut out, from top to bottom.

    Each defect's box is grown by 25 % (half of it on each side), to at least 64 pixels a side
    (or the whole image where that is smaller), moved and clipped into the image; boxes that
    overlap are merged until none do.
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
    apart: list[Box] = []
    for box in boxes:
        # A merged box can reach others that neither of its parts touched: go round until none.
        while hits := [other for other in apart if box.overlaps(other)]:
            for other in hits:
                apart.remove(other)
                box = box.union(other)
        apart.append(box)
    return sorted(apart, key=lambda b: (b.y, b.x))
