"""`Poisson`: a real defect transplanted by Poisson blending (Pérez et al., SIGGRAPH 2003)."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from patchcore_dual.errors import DataError
from patchcore_dual.synthesis.generator import AskedMask, Generator, SyntheticDefect, changed_mask
from patchcore_dual.synthesis.generators.textures import composed, soft_edge
from patchcore_dual.synthesis.masks.borrowed import defect_within, into, moved_mask, window_around

AROUND = 12  # pixels about the mask whose tone is compared between donor and good image
ERODED = 3  # pixels by which OpenCV shrinks a mask before it blends
TOLERANCE = 4.0  # grey levels


@dataclass(frozen=True)
class Poisson(Generator):
    """The donor's surface, moved as its mask was, brought to the tone of its new surroundings.

    Grey values are scaled by the ratio of the two surroundings' tones, so that a defect half as
    bright as its surface stays half as bright; then `cv2.seamlessClone` meets the good image at
    the mask's edge, and the last pixels fade over.
    """

    name: ClassVar[str] = "poisson"
    needs_donor: ClassVar[bool] = True

    def generate(self, normal: np.ndarray, mask: AskedMask, seed: int) -> SyntheticDefect:
        """As `Generator.generate`; raises DataError for a mask that comes from no real defect."""
        if mask.donor is None or mask.matrix is None:
            raise DataError("poisson needs a mask borrowed from a real defect.")
        rng = np.random.default_rng(seed)
        window = window_around(mask.pixels, AROUND)
        asked, under = mask.pixels[window], normal[window]
        height, width = asked.shape
        defect = moved_mask(mask.donor.mask, mask.matrix, window)
        surface = cv2.warpAffine(
            mask.donor.image,
            into(mask.matrix, window),
            (width, height),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        ring = ~asked & ~defect
        strength = float(rng.uniform(0.85, 1.2))
        matched = _matched(surface, under, ring if ring.any() else ~defect, strength)
        cloned = _clone(matched, under, asked)
        image = composed(normal, window, cloned, soft_edge(asked, 3))
        tolerance = np.full(asked.shape, _noise(under, asked))
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
    """The donor's surface, uint8, scaled to the tone that the good image has around the mask."""
    here, there = (np.median(a[ring], axis=0).astype(np.float32) for a in (under, surface))
    gain = np.clip(here / np.maximum(there, 1), 1 / 3, 3)
    scaled = here + strength * (surface * gain - there * gain)
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def _clone(surface: np.ndarray, under: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """`under` with `surface` blended into the asked pixels; all of one size."""
    # OpenCV misplaces masks that reach the border of the picture, hence the frame. It also erodes
    # them, so that without growing them first a thin crack would not arrive at all.
    frame = ERODED + 2
    surface, under = (
        cv2.copyMakeBorder(a, frame, frame, frame, frame, cv2.BORDER_REFLECT_101)
        for a in (surface, under)
    )
    kernel = np.ones((2 * ERODED + 1,) * 2, np.uint8)
    grown = cv2.dilate(np.pad(asked, frame).astype(np.uint8) * 255, kernel)
    x, y, width, height = cv2.boundingRect(grown)
    middle = (x + width // 2, y + height // 2)
    cloned = cv2.seamlessClone(surface, under, grown, middle, cv2.NORMAL_CLONE)
    return cloned[frame:-frame, frame:-frame]


def _noise(under: np.ndarray, asked: np.ndarray) -> float:
    """Grey levels by which one sound surface differs from another at the same place."""
    rough = under.astype(np.float32) - cv2.GaussianBlur(under.astype(np.float32), (0, 0), 3)
    return max(3 * float(rough[asked].std()), TOLERANCE)
