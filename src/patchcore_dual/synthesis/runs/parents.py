"""The real training images that synthetic ones are made from (thesis 4.2.3)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.masks import read_prepared_mask
from patchcore_dual.data.reading import read_image
from patchcore_dual.data.roi import resize_region
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.synthesis.generator import MIN_CHANGED_PIXELS, Generator, TargetMask
from patchcore_dual.synthesis.masks.parts import part_region
from patchcore_dual.synthesis.masks.placing import borrow_mask, draw_mask
from patchcore_dual.synthesis.real_defects import read_defect

Masks = Literal["auto", "real", "drawn"]


@dataclass(frozen=True)
class Triplet:
    """What a synthetic image is made of (4.2.3); the third element, a prompt, is the generator's.

    Attributes:
        normal: the normal image.
        image: its pixels, uint8 `[H, W, 3]`.
        defect: the real defect whose mask is borrowed; None for a drawn mask.
        mask: where the defect is to be made.
    """

    normal: Sample
    image: np.ndarray
    defect: Sample | None
    mask: TargetMask

    @property
    def parents(self) -> list[Sample]:
        """The real images that the synthetic one depends on."""
        return [s for s in (self.normal, self.defect) if s is not None]


class Parents:
    """The normal images of a data set to paint on, and its real defects to borrow masks from.

    Args:
        manifest: a prepared data set; only its real images are used.
        generators: what the images are made by.
        masks: see `synthesise`.
        allow_test_masks: see `synthesise`.

    Raises:
        DataError: where images or defects are missing that a generator needs.
        SettingsError: where a generator and the choice of masks do not fit together.
    """

    def __init__(
        self,
        manifest: Manifest,
        generators: Sequence[Generator],
        masks: Masks,
        allow_test_masks: bool,
    ) -> None:
        self.manifest, self.allow_test_masks = manifest, allow_test_masks
        real = manifest.real()
        self.normals = real.part("train", "negative").samples
        if not self.normals:
            raise DataError(
                f"{manifest.folder}: the train split has no normal images to put defects on. "
                "Prepare it with some."
            )
        defective = real.part(None if allow_test_masks else "train", "positive")
        self.donors = () if masks == "drawn" else tuple(filter(self._is_usable, defective))
        for generator in generators:
            self._check_donors(generator, masks)

    def about(self) -> dict[str, Any]:
        """A summary for the plan; its keys have to stay, so that existing sets can still grow."""
        about = {
            "good images": len(self.normals),
            "defective images": len(self.donors),
            "fingerprint": self.manifest.where([*self.normals, *self.donors]).sha256()[:16],
        }
        region = self.manifest.region
        if region is not None:
            about["region of interest"] = hashlib.sha256(region.tobytes()).hexdigest()[:16]
        return about

    def triplet(self, generator: Generator, rng: np.random.Generator) -> Triplet:
        """Draw a normal image and a mask on it, where it is inspected.

        Raises:
            UnusableDefectError: where the mask found no room.
        """
        normal = self.normals[int(rng.integers(len(self.normals)))]
        image = read_image(self.manifest.image_path(normal))
        part = part_region(image)
        region = self.manifest.region_of(normal)
        if region is not None:
            part &= resize_region(region, part.shape[1], part.shape[0], what=f"{normal.image} is")
        donors = self._donors_for(generator)
        if not donors:
            return Triplet(normal, image, None, draw_mask(image, part, rng))
        defect = donors[int(rng.integers(len(donors)))]
        mask = borrow_mask(read_defect(self.manifest, defect), image, part, rng)
        if defect.split == "test":  # only its mask: no generator may use its surface
            mask = replace(mask, donor=None, matrix=None)
        return Triplet(normal, image, defect, mask)

    def _donors_for(self, generator: Generator) -> tuple[Sample, ...]:
        return tuple(s for s in self.donors if generator.kind in (None, s.kind))

    def _is_usable(self, sample: Sample) -> bool:
        """Whether a mask has a shape to borrow: more than a speck, less than the whole image."""
        if not sample.mask_is_known:
            return False
        mask = read_prepared_mask(self.manifest.folder / sample.mask)
        return MIN_CHANGED_PIXELS <= mask.sum() < mask.size

    def _check_donors(self, generator: Generator, masks: Masks) -> None:
        """Raise where a generator needs real defects and there are none that it can use."""
        if generator.needs_donor and self.allow_test_masks:
            raise SettingsError(
                f"{generator.name} copies the surface of real defects, and of test defects only "
                "the masks may be used. Leave test masks out, or use another generator."
            )
        if self._donors_for(generator):
            return
        if generator.needs_donor and masks == "drawn":
            raise SettingsError(
                f"{generator.name} copies the surface of real defects, so it cannot use drawn "
                "masks. Use real masks, or another generator."
            )
        if masks == "drawn" or (not self.donors and masks == "auto" and not generator.needs_donor):
            return
        if self.donors:
            kinds = ", ".join(sorted({s.kind for s in self.donors if s.kind}))
            what = f"no training defect of the kind {generator.kind!r} has a usable mask"
            available = f" (there are: {kinds})" if kinds else ", and kinds have no names here"
        else:
            what, available = "no training defect has a usable mask", ""
        remedy = (
            "Mark defects and prepare again, or use a generator that draws, such as strokes."
            if generator.needs_donor
            else "Draw masks instead, with --masks drawn."
        )
        raise DataError(f"{self.manifest.folder}: {what}{available}. {remedy}")
