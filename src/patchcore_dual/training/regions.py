"""The regions of interest of a training set, checked before hours of fitting."""

import logging

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.roi import region_for
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.settings import Settings

_log = logging.getLogger(__name__)


def within_region(manifest: Manifest, roi: np.ndarray | None) -> Manifest:
    """The manifest, of whose images a region alone is inspected.

    Args:
        roi: bool `[H, W]`, drawn on the images of the folder, or on the photographs that they were
            prepared from; None leaves the manifest as it is.

    Raises:
        DataError: it has the proportions of neither.
    """
    if roi is None:
        return manifest
    if (size := manifest.size()) is None:
        return manifest.within(roi)
    photographed = photographed_size(manifest)
    sizes = [size] if photographed is None else [size, photographed]
    return manifest.within(region_for(roi, sizes, what="the images are"))


def photographed_size(manifest: Manifest) -> tuple[int, int] | None:
    """Width and height of all photographs that the images were prepared from, if it is one size."""
    facts = manifest.preparation()
    sides = [facts.get(name) or {} for name in ("original_width", "original_height")]
    if all(side and side.get("min") == side.get("max") for side in sides):
        return int(sides[0]["min"]), int(sides[1]["min"])
    return None


def check_patches(settings: Settings) -> None:
    """SettingsError for patches `crop`, which does not know regions."""
    if settings.patches == "crop":
        raise SettingsError(
            "patches crop cuts images around their defects, where a region of interest of the "
            "whole image does not apply. Use patches mask or box."
        )


def check_regions(training_set: Manifest, settings: Settings) -> tuple[str, ...] | None:
    """The defective images whose whole defect lies outside their region of interest.

    They are not fitted on as defects, since none of their defects would be found; nothing else of
    them is used either. None where no image has a region.

    Raises:
        DataError: that is so of all defects that are known, or a region cannot be used.
        SettingsError: patches `crop`, which does not know regions.
    """
    has_region = [training_set.region_of(sample) is not None for sample in training_set]
    if not any(has_region):
        return None
    check_patches(settings)
    defective = training_set.real().part(label="positive")
    known = [sample for sample in defective if sample.mask_is_known]
    outside = []
    for sample in known:
        region, mask = training_set.region_of(sample), training_set.read_mask(sample)
        if region is not None and not (region_for(region, [mask.shape[::-1]]) & mask).any():
            outside.append(sample.image)
    if outside and len(outside) == len(defective):
        raise DataError(
            f"the region of interest leaves out the defects of all {len(outside)} defective "
            f"training images, as of {outside[0]}. White is what --roi inspects and what --ignore "
            "leaves out: was the other one meant? To fit without defects: --defects 0"
        )
    if outside:
        _log.warning(
            "The defects of %d of %d defective training images lie outside the region of "
            "interest, and are not learned: %s.",
            len(outside),
            len(defective),
            ", ".join(outside[:5]) + (" ..." if len(outside) > 5 else ""),
        )
    return tuple(outside)
