"""`Generator`: what every maker of synthetic defects is (thesis 4.2)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import cv2
import numpy as np

from patchcore_dual.errors import PatchCoreDualError

MIN_CHANGED_PIXELS = 8


class UnusableDefectError(PatchCoreDualError):
    """One attempt gave nothing that can be used; the next seed may."""


@dataclass(frozen=True)
class RealDefect:
    """A defective training image that shapes and texture may be borrowed from.

    Attributes:
        name: as the manifest names the image.
        image: uint8 `[H, W, 3]`, RGB, prepared.
        mask: bool `[H, W]`, its defect.
        kind: of the defect; empty where kinds have no names.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray
    kind: str = ""


@dataclass(frozen=True)
class AskedMask:
    """Where on a good image a defect is to be.

    Attributes:
        pixels: bool `[H, W]`, not empty.
        kind: of the defect.
        donor: the real defect whose mask this is, moved; None for a drawn one.
        matrix: float64 `[2, 3]`, takes pixels (x, y) of the donor to those of this mask.
        provenance: how it came about, as plain values.
    """

    pixels: np.ndarray
    kind: str = ""
    donor: RealDefect | None = None
    matrix: np.ndarray | None = None
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SyntheticDefect:
    """A defective image that was made.

    Attributes:
        image: uint8 `[H, W, 3]`, RGB, of the good image's size.
        mask: bool `[H, W]`: what actually changed, inside the asked mask.
        provenance: generator, seed and parameters, as plain values.
    """

    image: np.ndarray
    mask: np.ndarray
    provenance: dict[str, Any]


class Generator(ABC):
    """Makes defects on good images. The same arguments give the same bytes.

    Attributes:
        name: becomes the `origin` of its images.
        needs_donor: whether the asked mask has to come from a real defect.
        kind: makes this kind of defect alone; None for any.
    """

    name: ClassVar[str]
    needs_donor: ClassVar[bool] = False
    kind: str | None = None

    @abstractmethod
    def generate(self, normal: np.ndarray, mask: AskedMask, seed: int) -> SyntheticDefect:
        """A defect on a good image.

        Args:
            normal: uint8 `[H, W, 3]`, RGB; not changed.
            mask: where; pixels outside it stay as they are, bit for bit.
            seed: of everything random in it.

        Raises UnusableDefectError where nothing visible came of it.
        """


def changed_mask(
    before: np.ndarray, after: np.ndarray, asked: np.ndarray, tolerance: float | np.ndarray
) -> np.ndarray:
    """bool `[H, W]`: what changed inside the asked mask, small gaps closed.

    Args:
        before, after: uint8 `[H, W, 3]`.
        asked: bool `[H, W]`.
        tolerance: how far a pixel may differ, in grey levels, and count as unchanged (a VAE changes
            every pixel a little); one number or `[H, W]`.

    Raises UnusableDefectError where fewer than 8 pixels changed.
    """
    difference = np.abs(before.astype(np.int16) - after.astype(np.int16)).max(axis=2)
    changed = (difference > tolerance) & asked
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    closed = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_CLOSE, kernel).astype(bool)
    closed &= asked
    if closed.sum() < MIN_CHANGED_PIXELS:
        raise UnusableDefectError("nothing changed that can be seen")
    return closed
