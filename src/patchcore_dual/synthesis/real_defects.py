"""`RealDefect`: a defective training image whose shape and surface generators may reuse."""

from dataclasses import dataclass

import numpy as np

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.masks import read_prepared_mask
from patchcore_dual.data.reading import read_image


@dataclass(frozen=True)
class RealDefect:
    """A defective image with the mask of its defect.

    Attributes:
        name: the image's path in the manifest.
        image: uint8 `[H, W, 3]`, RGB, prepared.
        mask: bool `[H, W]`, the pixels of the defect.
        kind: kind of the defect; empty where kinds have no names.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray
    kind: str = ""


def known_defects(manifest: Manifest) -> tuple[Sample, ...]:
    """The real defective training images whose mask is known and not empty."""
    known = (s for s in manifest.real().part("train", "positive") if s.mask_is_known)
    return tuple(s for s in known if read_prepared_mask(manifest.folder / s.mask).any())


def read_defect(manifest: Manifest, sample: Sample) -> RealDefect:
    """Read a defective image and its mask, which has to be known, from disk."""
    return RealDefect(
        sample.image,
        read_image(manifest.image_path(sample)),
        read_prepared_mask(manifest.folder / sample.mask),
        sample.kind,
    )
