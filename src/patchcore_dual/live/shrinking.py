"""Taking vectors out of a model's banks, so that what is left covers the other patches as before.

A vector that leaves may alone have covered patches that stay: of these the bank gains some. It may
have been the nearest to a patch of a calibration image: that patch's distance becomes the one to
the vectors of other folds that are left.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.errors import DataError
from patchcore_dual.live.growth import grow_normal_bank, new_patches
from patchcore_dual.live.images import CalibrationImages
from patchcore_dual.live.recalibration import TrainingState, calibration_of
from patchcore_dual.model import Model
from patchcore_dual.scoring.evidence import Nearest, with_neighbourhood_weight
from patchcore_dual.scoring.neighbourhood_weights import normal_weight
from patchcore_dual.training.defect_bank import DefectPatches
from patchcore_dual.utils.progress import Progress

_TOLERANCE = 1e-3  # by which features in half precision may miss a distance


def without_normals(
    model: Model,
    state: TrainingState,
    stays: np.ndarray,
    images: CalibrationImages,
    progress: Progress,
) -> TrainingState:
    """The state whose normal bank lacks some vectors, and covers other patches as before.

    Args:
        model: the one before.
        state: without the images and cells that are to count no more; its normal bank is the
            model's still.
        stays: bool `[n]`, which vectors of that bank do.
        images: of the model.
        progress: gets the stage and how far it is.

    Raises:
        DataError: where nothing is left.
    """
    bank, lost = model.normal_bank.select(stays), model.normal_bank.select(~stays)
    if not len(bank):
        raise DataError("that leaves nothing in the normal bank. Fit again.")
    radius = calibration_of(model).covering_radius * (1 + _TOLERANCE)
    gained = []
    for done, name in enumerate(state.normals, start=1):
        features, seed = state.inspected(name, images.features(name)), model.settings.seed
        more = grow_normal_bank(bank, name, features, radius, seed) if radius else None
        if more is not None:
            bank = MemoryBank.join([bank, more])
            gained.append(more)
        progress("patches that the others do not cover", done, len(state.normals))

    calibration = calibration_of(model)
    known, evidence = (*calibration.normals, *calibration.defectives), calibration.evidence
    former = dict(zip(known, (*evidence.normals, *evidence.defectives), strict=True))

    @cache
    def of_other_folds(fold: int) -> tuple[MemoryBank, MemoryBank]:
        own = [name for name in bank.sources if name in former and former[name].fold == fold]
        others = bank.without(own)
        own = [name for name in lost.sources if former[name].fold == fold]
        return lost.without(own), others if len(others) else bank

    normal = {}
    for done, (name, nearest) in enumerate(state.normal.items(), start=1):
        lost_ones, others = of_other_folds(former[name].fold)
        features = state.inspected(name, images.features(name))
        if len(lost_ones):
            nearest = _farther(nearest, features, lost_ones, others)
        if model.rule.weighted and _farthest(nearest) != _farthest(former[name].evidence.normal):
            found = replace(nearest, index=others.nearest(features)[1])
            nearest = with_neighbourhood_weight(found, features, others, normal_weight)
        normal[name] = nearest
        progress("distances to what is left", done, len(state.normal))
    return replace(state, normal_bank=bank, normal=normal, gained=tuple(gained))


def _farther(nearest: Nearest, features: np.ndarray, lost: MemoryBank, left: MemoryBank) -> Nearest:
    """The distances of an image where some of its nearest vectors may be among those lost."""
    was_nearest = lost.nearest(features)[0] <= nearest.distance * (1 + _TOLERANCE)
    if not was_nearest.any():
        return nearest
    distance = nearest.distance.copy()
    instead = left.nearest(features[was_nearest])[0]
    distance[was_nearest] = np.maximum(distance[was_nearest], instead)
    return replace(nearest, distance=distance)


def _farthest(nearest: Nearest) -> tuple[int, float]:
    """The patch that is farthest from the bank, and how far."""
    cell = int(np.nanargmax(nearest.distance))
    return cell, float(nearest.distance.flat[cell])


def without_defects(defects: DefectPatches, stays: np.ndarray, stay: np.ndarray) -> DefectPatches:
    """The defect bank and its patches without some, which covers those that stay as before.

    Args:
        stays: bool `[n]`, which vectors of the bank do; not all of its patches may be left out.
        stay: bool `[m]`, which patches do.
    """
    bank, patches = defects.bank.select(stays), defects.patches.select(stay)
    if stays.all():
        return DefectPatches(bank, patches)
    own = patches if patches.channels is not None else patches.restricted(bank.channels)
    former = replace(defects.bank, channels=None)  # whose queries are its own vectors
    radius = float(former.nearest(own.vectors)[0].max(initial=0)) * (1 + _TOLERANCE)
    rows = np.sort(new_patches(bank.vectors, own.vectors, radius))
    return DefectPatches(MemoryBank.join([bank, own.select(rows)]) if len(rows) else bank, patches)
