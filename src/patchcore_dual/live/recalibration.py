"""Renewing a model whose banks have changed: probe, fusion rule, positions, guard and thresholds.

The steps are those of fitting (`training/cross_fitting.py`), on features that are kept. What they
leave approximate is the normal banks without each fold, which a model does not keep: a calibration
image's distance to normal is its former one, or the distance to what the bank has gained from
images of other folds where that is nearer.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.light import is_variant
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.live.images import CalibrationImages
from patchcore_dual.model import CalibrationSet, Model
from patchcore_dual.scoring import Evidence, Nearest, rule_for
from patchcore_dual.scoring.appearance import Look
from patchcore_dual.scoring.familiarity import greatest_distance
from patchcore_dual.training.cross_fitting import SeenImage, cross_fit_seen
from patchcore_dual.training.defect_bank import DefectPatches
from patchcore_dual.training.feature_passes import draw
from patchcore_dual.training.normal_banks import SAMPLED_PATCHES, NormalBanks
from patchcore_dual.utils.progress import Progress, silent

Features = Callable[[str], np.ndarray]
"""The patch features float32 `[h, w, d]` of a calibration image, everywhere in it, by its name."""


@dataclass(frozen=True, eq=False)
class TrainingState:
    """What a model was built from, in the terms of fitting; changed, a model follows from it.

    Attributes:
        samples: the training images, real and synthetic.
        normal_bank: the normal bank.
        defects: the defect bank and the patches that it was chosen from; None without defects.
        fold_of: the fold of every scored image, by name.
        normal: out-of-fold distances to normal of every scored image, by name; NaN where it is not
            inspected.
        cells: bool `[h, w]`, the cells on the defect of every scored defective image, by name.
        sizes: height and width in pixels of every scored image, by name.
        sha256: see `CalibrationSet`.
        looks: what the pixels of good images say of their appearance, by name; nothing for a model
            that keeps no reference of drift.
        gained: what the normal bank has gained and `normal` does not account for yet.
    """

    samples: tuple[Sample, ...]
    normal_bank: MemoryBank
    defects: DefectPatches | None
    fold_of: dict[str, int]
    normal: dict[str, Nearest]
    cells: dict[str, np.ndarray]
    sizes: dict[str, tuple[int, int]]
    sha256: dict[str, str]
    looks: dict[str, Look]
    gained: tuple[MemoryBank, ...] = ()

    @classmethod
    def of(cls, model: Model, images: CalibrationImages) -> "TrainingState":
        """The state that a model is in."""
        calibration = calibration_of(model)
        evidence = calibration.evidence
        names = (*calibration.normals, *calibration.defectives)
        held_out = dict(zip(names, (*evidence.normals, *evidence.defectives), strict=True))
        bank = model.defect_bank
        defects = None if bank is None else DefectPatches(bank, calibration.defect_sample or bank)
        sources = defects.patches.sources if defects else ()
        return cls(
            images.samples(dict.fromkeys([*calibration.sha256, *sources, *calibration.normals])),
            model.normal_bank,
            defects,
            {name: one.fold for name, one in held_out.items()},
            {name: one.evidence.normal for name, one in held_out.items()},
            {n: one.defect_cells for n, one in held_out.items() if one.defect_cells is not None},
            {name: (one.height, one.width) for name, one in held_out.items()},
            dict(calibration.sha256),
            model.drift.looks() if model.drift else {},
        )

    @property
    def normals(self) -> list[str]:
        """The good images that are scored."""
        return [s.image for s in self.samples if not s.is_defective and s.image in self.fold_of]

    def inspected(self, name: str, features: np.ndarray) -> np.ndarray:
        """Patch features `[h, w, d]` of a scored image, NaN where it is not inspected."""
        outside = np.isnan(self.normal[name].distance)
        return np.where(outside[..., None], np.float32(np.nan), features)

    def next_fold(self, is_defective: bool) -> int:
        """The fold for a further image: that with the fewest of its label, as in fitting."""
        load = np.zeros((2, max(self.fold_of.values()) + 1), dtype=np.int64)
        for sample in self.samples:
            if sample.image in self.fold_of:
                load[int(sample.is_defective), self.fold_of[sample.image]] += 1
        first = int(is_defective)
        return int(np.lexsort((load[1 - first], load[first]))[0])


def calibration_of(model: Model) -> CalibrationSet:
    """The calibration set of a model that is being taught, which has one."""
    calibration = model.calibration
    assert calibration is not None, "`CalibrationImages` refuses a model without one"
    return calibration


def described(
    trained_on: dict[str, Any], state: TrainingState, taught: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a model remembers of its training images, brought up to date.

    Args:
        trained_on: of the model before.
        state: as it is now.
        taught: what is said of the images that are taught now, by name.
    """
    real = [s for s in state.samples if not s.is_synthetic]
    names = {s.image for s in real}
    all_taught = {**trained_on.get("taught", {}), **(taught or {})}
    return {
        **trained_on,
        "normal_images": sum(not s.is_defective for s in real),
        "defective_images": sum(s.is_defective for s in real),
        "kinds": sorted({s.kind for s in real if s.is_defective and s.kind}),
        "synthetic_images": dict(
            sorted(
                Counter(
                    s.origin for s in state.samples if s.is_synthetic and not is_variant(s)
                ).items()
            )
        ),
        "taught": {name: facts for name, facts in all_taught.items() if name in names},
    }


def renew(
    model: Model,
    state: TrainingState,
    features: Features,
    *,
    trained_on: dict[str, Any],
    progress: Progress = silent,
) -> Model:
    """The model of a changed state: steps 4 and 5 of `training.fit`.

    Args:
        model: the one that `state` was made of and changed since.
        features: of every scored image.
        trained_on: see `Model`; the median distance that is foreign is measured anew.
    """
    settings, calibration = model.settings, calibration_of(model)
    rule_class = rule_for(settings.scoring, state.defects is not None)
    sample = state.normal_bank
    if state.defects is not None and rule_class.uses_probe:
        sample = _normal_sample(state, features, settings.seed)
    banks = NormalBanks(
        state.normal_bank,
        (),
        state.fold_of,
        sample,
        calibration.covering_radius,
        {name: Evidence(nearest) for name, nearest in state.normal.items()},
    )

    @cache
    def gained_outside(fold: int) -> MemoryBank | None:
        others = [bank for bank in state.gained if state.fold_of[bank.sources[0]] != fold]
        return MemoryBank.join(others) if others else None

    def see(one: Sample) -> SeenImage:
        own = state.inspected(one.image, features(one.image))
        gained = gained_outside(state.fold_of[one.image])
        if gained is not None:
            normal = state.normal[one.image]
            distance = np.minimum(normal.distance, gained.nearest(own)[0])
            banks.evidence[one.image] = Evidence(replace(normal, distance=distance))
        name = one.image
        return SeenImage(own, *state.sizes[name], state.cells.get(name), state.looks.get(name))

    fitted = cross_fit_seen(
        Manifest(Path(calibration.prepared), state.samples),
        banks,
        state.defects,
        see,
        rule=rule_class,
        false_alarm_rate=settings.false_alarm_rate,
        sha256=state.sha256,
        taught=trained_on.get("taught", {}),
        progress=progress,
    )
    rule = fitted.calibration.fit_rule(rule_class)
    rates = settings.false_alarm_rate, settings.review_rate
    return replace(
        model,
        normal_bank=state.normal_bank,
        defect_bank=state.defects.bank if state.defects else None,
        probe=fitted.probe,
        rule=rule,
        thresholds=fitted.calibration.thresholds(rule, *rates),
        trained_on={
            **trained_on,
            "greatest_distance": greatest_distance(fitted.calibration.evidence),
        },
        read_calibration=partial(_given, fitted.calibration),
        drift=fitted.drift,
    )


def _normal_sample(state: TrainingState, features: Features, seed: int) -> MemoryBank:
    """Patches of all good images, drawn as fitting draws them."""
    names = state.normals
    inspected = [np.flatnonzero(~np.isnan(state.normal[name].distance)) for name in names]
    counts = [len(inside) for inside in inspected]
    starts = np.concatenate([[0], np.cumsum(counts)])
    rows = draw(int(starts[-1]), SAMPLED_PATCHES, seed)
    ends = np.searchsorted(rows, starts)
    drawn = [(i, a, b) for i, (a, b) in enumerate(pairwise(ends.tolist())) if a < b]
    vectors = np.empty((len(rows), features(names[0]).shape[-1]), np.float32)
    cells, image = np.empty((len(rows), 2), np.int32), np.empty(len(rows), np.int32)
    for position, (i, begin, end) in enumerate(drawn):
        own, of_image = features(names[i]), inspected[i][rows[begin:end] - starts[i]]
        vectors[begin:end] = own.reshape(-1, own.shape[-1])[of_image]
        cells[begin:end] = np.stack(np.divmod(of_image, own.shape[1]), axis=1)
        image[begin:end] = position
    return MemoryBank(vectors, image, cells, tuple(names[i] for i, _, _ in drawn))


def _given(calibration: CalibrationSet) -> CalibrationSet:
    """A function of a module, so that a taught model can be pickled."""
    return calibration
