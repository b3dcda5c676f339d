"""Taking training images out of a model: out of its banks, its calibration set and its probe."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import DataError
from patchcore_dual.live.images import CalibrationImages
from patchcore_dual.live.recalibration import TrainingState, described, renew
from patchcore_dual.live.shrinking import without_normals
from patchcore_dual.live.teaching import Teaching
from patchcore_dual.model import Model
from patchcore_dual.training.defect_bank import DefectPatches
from patchcore_dual.utils.progress import Progress, silent


def remove(
    model: Model,
    sources: Collection[str],
    images: CalibrationImages,
    progress: Progress = silent,
) -> Teaching:
    """The model without some of its training images, and the synthetic ones made from them.

    Of a defect, everything is as if it had never been there. Where a good image is removed, the
    normal bank gains those patches of others that it alone covered; where its vectors were the
    nearest to a calibration image, the distance is that to the bank's remaining vectors of other
    folds.

    Args:
        model: is left as it is.
        sources: names of training images, as an `Inspection` gives them, or their ends ("7.png").
        images: of this model.
        progress: gets the stage and how far it is.

    Raises:
        DataError: where no image has such a name, or several do; where too few would be left.
    """
    state = TrainingState.of(model, images)
    known = [sample.image for sample in state.samples]
    named = {name_of(source, known) for source in sources}
    removed = Manifest(images.folder, state.samples).with_offspring(named)
    samples = tuple(sample for sample in state.samples if sample.image not in removed)
    if sum(not (sample.is_defective or sample.is_synthetic) for sample in samples) < 2:
        raise DataError("that leaves fewer than two good images, by which nothing is calibrated.")
    if len({state.fold_of[s.image] for s in samples if not s.is_defective}) < 2:
        raise DataError(
            "the good images that would be left were all held out together when the model was "
            "fitted. Fit again without these images: fit --exclude."
        )
    defects, outside = state.defects, 0
    if defects is not None:
        learned = {*state.fold_of, *defects.patches.sources}
        outside = sum(s.is_defective for s in state.samples if s.image in removed - learned)
        bank, patches = (one.without(removed) for one in (defects.bank, defects.patches))
        defects = DefectPatches(bank, patches) if len(bank) else None
    kept = {name for name in state.fold_of if name not in removed}
    state = replace(
        state,
        samples=samples,
        defects=defects,
        fold_of={name: fold for name, fold in state.fold_of.items() if name in kept},
        normal={name: nearest for name, nearest in state.normal.items() if name in kept},
        sha256={name: digest for name, digest in state.sha256.items() if name not in removed},
    )
    if removed & set(model.normal_bank.sources):
        bank = model.normal_bank
        stays = ~np.isin(bank.image, [i for i, name in enumerate(bank.sources) if name in removed])
        state = without_normals(model, state, stays, images, progress)
    trained_on = described(model.trained_on, state)
    if model.defects_outside:
        trained_on["defects_outside_region"] = max(0, model.defects_outside - outside)
    after = renew(model, state, images.features, trained_on=trained_on, progress=progress)
    return Teaching(model, after, removed=tuple(sorted(removed)))


def name_of(source: str, known: Sequence[str]) -> str:
    """The one training image that a user means.

    >>> name_of("7.png", ["train/negative/7.png", "train/negative/17.png"])
    'train/negative/7.png'

    Raises:
        DataError: where none or several may be meant.
    """
    if source in known:
        return source
    found = [name for name in known if name.endswith(f"/{source}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{source} may be {', '.join(found[:5])}. Name one of them.")
    raise DataError(
        f"the model has no training image {source}. Name one as `inspect` shows it, as {known[0]}."
    )
