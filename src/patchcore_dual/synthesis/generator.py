"""`Generator`: the interface of everything that makes synthetic defects (thesis 4.2)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import cv2
import numpy as np

from patchcore_dual.errors import PatchCoreDualError
from patchcore_dual.synthesis.real_defects import RealDefect

MIN_CHANGED_PIXELS = 8


class UnusableDefectError(PatchCoreDualError):
    """One attempt gave no usable defect; another seed may."""


@dataclass(frozen=True)
class TargetMask:
    """Where a defect is to be made on a normal image.

    Attributes:
        pixels: bool `[H, W]`, not empty.
        kind: kind of the defect.
        donor: the real defect whose mask was moved here; None for a drawn mask.
        matrix: float64 `[2, 3]`, maps pixels (x, y) of the donor to pixels of this mask.
        provenance: how the mask was made, as plain values.
    """

    pixels: np.ndarray
    kind: str = ""
    donor: RealDefect | None = None
    matrix: np.ndarray | None = None
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SyntheticDefect:
    """A normal image with a synthetic defect on it.

    Attributes:
        image: uint8 `[H, W, 3]`, RGB, of the normal image's size.
        mask: bool `[H, W]`, the pixels that changed, all of them inside the target mask.
        provenance: generator, seed and parameters, as plain values.
    """

    image: np.ndarray
    mask: np.ndarray
    provenance: dict[str, Any]


class Generator(ABC):
    """Makes defects on normal images; the same arguments give the same bytes.

    A generator is a class with a name, a summary and `generate`. A frozen dataclass is best, since
    its public attributes are recorded in the plan of each set that it makes. One line in
    `patchcore_dual.synthesis.registry` then adds it to the command line and to the experiments.

    >>> @dataclass(frozen=True)
    ... class Darken(Generator):
    ...     name = "darken"
    ...     summary = "Darkens the surface."
    ...
    ...     def generate(self, normal, mask, seed):
    ...         factor = np.random.default_rng(seed).uniform(0.4, 0.8)
    ...         image = np.where(mask.pixels[..., None], normal * factor, normal).astype(np.uint8)
    ...         changed = changed_mask(normal, image, mask.pixels, tolerance=4)
    ...         return SyntheticDefect(image, changed, {"generator": self.name, "seed": seed})
    >>> normal = np.full((32, 32, 3), 150, np.uint8)
    >>> target = np.zeros((32, 32), bool)
    >>> target[10:20, 10:14] = True
    >>> int(Darken().generate(normal, TargetMask(target), seed=0).mask.sum())
    40

    Attributes:
        name: names the generator on the command line, and its images in the manifest (`origin`).
        summary: one sentence for the command line's help.
        needs_donor: whether the target mask has to come from a real defect.
        runs_on_cpu: whether it needs no diffusion model; it is then created without arguments.
        kind: the only kind of defect that it makes; None for any kind.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    needs_donor: ClassVar[bool] = False
    runs_on_cpu: ClassVar[bool] = True
    kind: str | None = None

    @abstractmethod
    def generate(self, normal: np.ndarray, mask: TargetMask, seed: int) -> SyntheticDefect:
        """Make a defect on a normal image.

        Args:
            normal: uint8 `[H, W, 3]`, RGB; left as it is.
            mask: where to make the defect; pixels outside it keep their values, bit for bit.
            seed: seed of all randomness, 0 or more.

        Raises:
            UnusableDefectError: where no visible defect resulted.
        """


def changed_mask(
    before: np.ndarray, after: np.ndarray, target: np.ndarray, tolerance: float | np.ndarray
) -> np.ndarray:
    """The pixels that changed inside the target mask, with small gaps closed.

    >>> before = np.full((16, 16, 3), 100, np.uint8)
    >>> after = before.copy()
    >>> after[4:8, 4:8] = 60
    >>> changed = changed_mask(before, after, np.ones((16, 16), bool), tolerance=4)
    >>> changed.dtype, int(changed.sum())
    (dtype('bool'), 16)

    Args:
        before: uint8 `[H, W, 3]`, the normal image.
        after: uint8 `[H, W, 3]`, the same image with a defect.
        target: bool `[H, W]`, the pixels that were allowed to change.
        tolerance: grey levels by which an unchanged pixel may differ (an autoencoder changes every
            pixel a little); one number, or one for each pixel, `[H, W]`.

    Returns:
        bool `[H, W]`.

    Raises:
        UnusableDefectError: where fewer than 8 pixels changed.
    """
    difference = np.abs(before.astype(np.int16) - after.astype(np.int16)).max(axis=2)
    changed = (difference > tolerance) & target
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    closed = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_CLOSE, kernel).astype(bool)
    closed &= target
    if closed.sum() < MIN_CHANGED_PIXELS:
        raise UnusableDefectError("nothing changed that can be seen")
    return closed
