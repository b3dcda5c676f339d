"""Out-of-fold evidence for every training image: thresholds and rules are calibrated on it.

A normal image is scored by the normal bank without its fold, the defect bank without its group, and
a probe trained without its fold's normal patches. A defective image is scored by all three without
its fold. For the guard, images are scored once more as if a cluster of defects had never been seen.
A synthetic image is excluded wherever one of its parents is, and is never scored itself; a light
variant of a good image is scored as that image is.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.banks.uninspected import uninspected
from patchcore_dual.data.light import is_variant
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.features.defect_patches import covered_cells
from patchcore_dual.model import CalibrationSet
from patchcore_dual.scoring import (
    Evidence,
    HeldOutImage,
    Nearest,
    Probe,
    Rule,
    TrainingEvidence,
    gather_evidence,
)
from patchcore_dual.scoring.appearance import Look, look_of
from patchcore_dual.scoring.drift_reference import DriftReference
from patchcore_dual.scoring.evidence import search
from patchcore_dual.scoring.neighbourhood_weights import defect_weight
from patchcore_dual.training.context import FitContext
from patchcore_dual.training.defect_bank import DefectPatches, defect_mask
from patchcore_dual.training.normal_banks import NormalBanks
from patchcore_dual.training.probes import Probes
from patchcore_dual.utils.files import file_sha256
from patchcore_dual.utils.progress import Progress, silent

JUDGED_IMAGES = 20  # normal images, and defective ones, on which approximate search is judged


class SeenImage(NamedTuple):
    """A training image as cross-fitting sees it.

    Attributes:
        features: float32 `[h, w, d]`.
        height, width: of the prepared image, in pixels.
        defect_cells: bool `[h, w]`, the cells on the defect; None for a normal image.
        look: what its pixels say of its appearance; None where that is not known.
    """

    features: np.ndarray
    height: int
    width: int
    defect_cells: np.ndarray | None = None
    look: Look | None = None


class CrossFit(NamedTuple):
    """The calibration set of a model, its final probe, and the reference of drift."""

    calibration: CalibrationSet
    probe: Probe | None
    drift: DriftReference | None


def cross_fit(
    context: FitContext,
    training_set: Manifest,
    banks: NormalBanks,
    defects: DefectPatches | None,
    *,
    pseudo_masks: dict[str, np.ndarray],
    rule: type[Rule],
) -> CrossFit:
    """Score the training images, each by banks and probes that were built without it.

    Args:
        pseudo_masks: bool `[H, W]` of each defective image without a mask, by name.
        rule: where it uses no probe, none is trained and no defective image is scored.
    """

    def see(sample: Sample) -> SeenImage:
        image = training_set.read_image(sample)
        features = context.embed_in(training_set, sample)(image)
        cells = None
        if sample.is_defective:
            mask = defect_mask(training_set, sample, pseudo_masks)
            cells = covered_cells(mask, *features.shape[:2]) & ~uninspected(features)
        height, width = image.shape[:2]
        return SeenImage(
            features, height, width, cells, look_of(image, np.isfinite(features[..., 0]))
        )

    return cross_fit_seen(
        training_set.where([*training_set, *banks.variants]),
        banks,
        defects,
        see,
        rule=rule,
        false_alarm_rate=context.settings.false_alarm_rate,
        sha256={s.image: file_sha256(training_set.image_path(s)) for s in training_set.real()},
        progress=context.progress,
    )


def cross_fit_seen(
    training_set: Manifest,
    banks: NormalBanks,
    defects: DefectPatches | None,
    see: Callable[[Sample], SeenImage],
    *,
    rule: type[Rule],
    false_alarm_rate: float,
    sha256: Mapping[str, str],
    taught: Collection[str] = (),
    progress: Progress = silent,
) -> CrossFit:
    """As `cross_fit`, of images whose features come from anywhere.

    Args:
        training_set: its samples alone are used; no file is read.
        banks: those without a fold are used only for images that are not in `evidence`.
        see: gives the features of an image; called once for each that is scored.
        false_alarm_rate: the one that was asked for.
        sha256: see `CalibrationSet`.
        taught: names of images that were taught since the fit, see `DriftReference`.
    """
    probes = Probes(training_set, banks, defects) if defects and rule.uses_probe else None
    known = set(defects.patches.sources) if defects else set()
    scored = [
        s
        for s in training_set
        if (is_variant(s) or not s.is_synthetic)
        and (not s.is_defective or (probes is not None and s.image in known))
    ]
    # Fold by fold, so that each bank is made once; the result keeps the manifest's order.
    score = _Scorer(training_set, banks, defects, probes)
    images: dict[str, HeldOutImage] = {}
    looks: dict[str, Look] = {}
    for sample in sorted(scored, key=lambda sample: banks.fold_of[sample.image]):
        seen = see(sample)
        held_out = score(sample, (seen.height, seen.width), seen.features)
        images[sample.image] = replace(held_out, defect_cells=seen.defect_cells)
        if seen.look is not None and not is_variant(sample):  # drift is judged by real images
            looks[sample.image] = seen.look
        progress("scoring held-out images", len(images), len(scored))
    normals = tuple(s.image for s in scored if not s.is_defective)
    defectives = tuple(s.image for s in scored if s.is_defective)
    groups = tuple(s.group or s.image for s in scored if not s.is_defective)
    calibration = CalibrationSet(
        TrainingEvidence(
            tuple(images[name] for name in normals),
            tuple(images[name] for name in defectives),
            false_alarm_rate,
        ),
        normals,
        defectives,
        groups,
        sha256,
        str(training_set.folder.resolve()),
        banks.radius,
        probes.whitening if probes else None,
        probes.normal_sample if probes else None,
        defects.patches if defects and probes else None,
    )
    drift = DriftReference.of(
        normals, groups, calibration.evidence.normals, looks, frozenset(taught)
    )
    return CrossFit(calibration, probes.final if probes else None, drift)


@dataclass(frozen=True)
class _Scorer:
    """Scores training images by what was built without them."""

    training_set: Manifest
    banks: NormalBanks
    defects: DefectPatches | None
    probes: Probes | None

    def __call__(self, sample: Sample, size: tuple[int, ...], features: np.ndarray) -> HeldOutImage:
        """`size`: height and width of the image; `features`: float32 `[h, w, d]`."""
        fold, (height, width) = self.banks.fold_of[sample.image], size
        evidence = normal_evidence(sample, features, self.banks)
        if self.defects is None:
            return HeldOutImage(evidence, fold, width, height)
        group = _group(sample, self.training_set)
        if self.probes is None:  # as the model itself will search: exact distances, and w_P
            defect = search(features, _without(self.defects.bank, group), defect_weight)
            return HeldOutImage(replace(evidence, defect=defect), fold, width, height)
        probes, sources = self.probes, self.defects.bank.sources
        distances = self.defects.bank.nearest_by_source(features)

        def without(excluded: set[str], probe: Probe) -> Evidence:
            allowed = np.array([name not in excluded for name in sources])
            if not allowed.any():
                # No defects are left: all of them make the evidence optimistic, but defined.
                allowed[:] = True
            distance = np.where(allowed, distances, np.inf).min(axis=-1)
            unknown = np.full(distance.shape, -1, dtype=np.int64)
            return Evidence(evidence.normal, Nearest(distance, unknown), probe(features))

        if sample.is_defective:
            in_fold = {name for name, other in self.banks.fold_of.items() if other == fold}
            own = self.training_set.with_offspring(in_fold)
            seen = without(own, probes.without_fold[fold])
        else:
            own = group
            seen = without(own, probes.without_own_patches[fold])
        unseen = {
            cluster: without(probes.of_cluster(cluster), probe)
            for cluster, probe in probes.without_cluster.items()
            if not sample.is_defective or probes.cluster_of[sample.image] == cluster
        }
        is_known = not sample.is_defective or bool(set(sources) - own)
        return HeldOutImage(seen, fold, width, height, unseen=unseen, is_known=is_known)


def normal_evidence(sample: Sample, features: np.ndarray, banks: NormalBanks) -> Evidence:
    """An image's evidence from the normal bank that leaves its fold out, computed once and cached.

    Args:
        features: float32 `[h, w, d]`.
    """
    if sample.image not in banks.evidence:
        bank = banks.without_fold[banks.fold_of[sample.image]]
        banks.evidence[sample.image] = gather_evidence(features, bank, None)
    return banks.evidence[sample.image]


def out_of_fold_images(
    context: FitContext,
    training_set: Manifest,
    banks: NormalBanks,
    defects: DefectPatches | None,
) -> Iterator[tuple[np.ndarray, MemoryBank, MemoryBank | None]]:
    """Yield features float32 `[h, w, d]` of some training images, with banks built without each.

    The normal bank is the one without its fold, the defect bank without its group.
    """
    samples: list[Sample] = []
    for label in ("negative", "positive"):
        some = training_set.real().part(label=label).samples
        samples += some[:: max(1, len(some) // JUDGED_IMAGES)][:JUDGED_IMAGES]
    samples.sort(key=lambda sample: banks.fold_of[sample.image])  # one bank at a time
    for i, sample in enumerate(samples):
        features = context.features(training_set, sample)
        defect = _without(defects.bank, _group(sample, training_set)) if defects else None
        yield features, banks.without_fold[banks.fold_of[sample.image]], defect
        context.progress("accuracy of approximate search", i + 1, len(samples))


def _group(sample: Sample, training_set: Manifest) -> set[str]:
    """The images of a sample's group, and the synthetic ones made from them."""
    group = {s.image for s in training_set.real() if sample.group and s.group == sample.group}
    return training_set.with_offspring(group | {sample.image} | sample.parents)


def _without(bank: MemoryBank, group: set[str]) -> MemoryBank:
    """The bank without a group; whole where nothing else is in it."""
    if not group & set(bank.sources):
        return bank
    others = bank.without(group)
    return others if len(others) else bank
