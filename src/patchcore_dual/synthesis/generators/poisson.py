"""`Poisson`: a real defect transplanted by Poisson blending (Pérez et al., SIGGRAPH 2003)."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from patchcore_dual.errors import DataError
from patchcore_dual.synthesis.generator import Generator, SyntheticDefect, TargetMask, changed_mask
from patchcore_dual.synthesis.generators.textures import alpha_blend, soft_edge
from patchcore_dual.synthesis.masks.windows import (
    defect_within,
    matrix_into_window,
    moved_mask,
    window_around,
)

AROUND = 12  # pixels around the mask whose tone is compared between donor and normal image
ERODED = 3  # pixels by which OpenCV shrinks a mask before it blends
TOLERANCE = 4.0  # grey levels


@dataclass(frozen=True)
class Poisson(Generator):
    """Moves the surface of a real defect along with its mask, and matches it to the new tone.

    Grey values are scaled by the ratio of the tones around both, so that a defect half as bright
    as its surface stays half as bright. `cv2.seamlessClone` then blends it into the normal image,
    and the last pixels before the mask's edge fade over.

    >>> from patchcore_dual.synthesis.real_defects import RealDefect
    >>> surface = np.random.default_rng(0).integers(100, 140, (64, 64, 3), np.uint8)
    >>> crack, target = np.zeros((2, 64, 64), bool)
    >>> crack[30:34, 20:44] = target[27:37, 17:47] = True
    >>> defective = np.where(crack[..., None], surface // 3, surface)
    >>> donor = RealDefect("0001.png", defective, crack)
    >>> mask = TargetMask(target, donor=donor, matrix=np.eye(2, 3))
    >>> made = Poisson().generate(surface, mask, seed=0)
    >>> made.image.shape, bool(made.mask.any()), bool((made.mask & ~target).any())
    ((64, 64, 3), True, False)
    """

    name: ClassVar[str] = "poisson"
    summary: ClassVar[str] = "Transplants real defects by Poisson blending."
    needs_donor: ClassVar[bool] = True

    def generate(self, normal: np.ndarray, mask: TargetMask, seed: int) -> SyntheticDefect:
        """Transplant the mask's donor; see `Generator.generate`.

        Raises:
            DataError: for a mask without a donor.
            UnusableDefectError: where no visible defect resulted.
        """
        if mask.donor is None or mask.matrix is None:
            raise DataError("poisson needs a mask borrowed from a real defect.")
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, AROUND)
        target, under = mask.pixels[window], normal[window]
        height, width = target.shape
        defect = moved_mask(mask.donor.mask, mask.matrix, window)
        surface = cv2.warpAffine(
            mask.donor.image,
            matrix_into_window(mask.matrix, window),
            (width, height),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        ring = ~target & ~defect
        strength = float(rng.uniform(0.85, 1.2))
        matched = _matched(surface, under, ring if ring.any() else ~defect, strength)
        cloned = _clone(matched, under, target)
        image = alpha_blend(normal, window, cloned, soft_edge(target, 3))
        tolerance = np.full(target.shape, _noise(under, target))
        tolerance[defect_within(mask, window)] = TOLERANCE
        everywhere = np.full(mask.pixels.shape, TOLERANCE)
        everywhere[window] = tolerance
        return SyntheticDefect(
            image=image,
            mask=changed_mask(normal, image, mask.pixels, everywhere),
            provenance={"generator": self.name, "seed": seed, "strength": round(strength, 4)},
        )


def _matched(
    surface: np.ndarray, under: np.ndarray, ring: np.ndarray, strength: float
) -> np.ndarray:
    """The donor's surface, uint8, scaled to the tone of the normal image around the mask."""
    here, there = (np.median(a[ring], axis=0).astype(np.float32) for a in (under, surface))
    gain = np.clip(here / np.maximum(there, 1), 1 / 3, 3)
    scaled = here + strength * (surface * gain - there * gain)
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def _clone(surface: np.ndarray, under: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`under` with `surface` blended into the target pixels; all of the same size."""
    # OpenCV misplaces masks that reach the border of the picture, hence the frame. It also erodes
    # masks, which would remove thin cracks altogether unless masks are grown first.
    frame = ERODED + 2
    surface, under = (
        cv2.copyMakeBorder(a, frame, frame, frame, frame, cv2.BORDER_REFLECT_101)
        for a in (surface, under)
    )
    kernel = np.ones((2 * ERODED + 1,) * 2, np.uint8)
    grown = cv2.dilate(np.pad(target, frame).astype(np.uint8) * 255, kernel)
    x, y, width, height = cv2.boundingRect(grown)
    middle = (x + width // 2, y + height // 2)
    cloned = cv2.seamlessClone(surface, under, grown, middle, cv2.NORMAL_CLONE)
    return cloned[frame:-frame, frame:-frame]


def _noise(under: np.ndarray, target: np.ndarray) -> float:
    """Grey levels by which two normal surfaces differ at the same position."""
    rough = under.astype(np.float32) - cv2.GaussianBlur(under.astype(np.float32), (0, 0), 3)
    return max(3 * float(rough[target].std()), TOLERANCE)
