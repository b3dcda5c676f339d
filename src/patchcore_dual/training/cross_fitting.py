"""Evidence on every training image as if it were new: the ground of thresholds and of learning.

A good image is scored by the normal bank without its fold, the defect bank without its group and
a probe that never saw its fold's good patches. A defective image is scored by all three without
its fold. For the guard, images are scored once more as if a cluster of defects had never been
seen. A synthetic image goes wherever one of its parents goes, and is never scored itself. Each
image is embedded once for all of this.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.cluster.vq import kmeans2

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.reading import read_image
from patchcore_dual.features.defect_patches import EmbedImage, covered_cells
from patchcore_dual.scoring.evidence import (
    Evidence,
    HeldOutImage,
    Nearest,
    TrainingEvidence,
    gather_evidence,
    search,
)
from patchcore_dual.scoring.fusion.probe import Probe, fit_probe, fit_whitening
from patchcore_dual.scoring.neighbourhood_weights import defect_weight
from patchcore_dual.training.banks import DefectPatches, NormalBanks, defect_mask
from patchcore_dual.utils.progress import Progress

PROBE_PATCHES = 20_000  # good patches that the probe is trained on
MAX_CLUSTERS = 5  # of defects whose kinds have no names
UNSEEN = 20  # good images, and defective ones, on which approximate search is judged
KEPT_PATCHES = 4  # of each good image, by distance from normal and by the ratio


@dataclass(frozen=True)
class KeptPatches:
    """A good image's few most anomalous patches: features `[k, d]` and their held-out d_N `[k]`."""

    name: str
    features: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class CrossFit:
    """What holding out gives: evidence for rules, patches for the model, the final probe."""

    training: TrainingEvidence
    kept: tuple[KeptPatches, ...]
    probe: Probe | None


def cross_fit(
    embed: EmbedImage,
    manifest: Manifest,
    banks: NormalBanks,
    defects: DefectPatches | None,
    pseudo_masks: dict[str, np.ndarray],
    uses_probe: bool,
    false_alarm_rate: float,
    progress: Progress,
) -> CrossFit:
    """Score every training image by banks and probes built without it.

    Args:
        proposed: masks of defective images that have none of their own.
        uses_probe: whether the rule reads probes and defective images; else neither is touched.
        false_alarm_rate: the one asked for, at which the guard reports.
    """
    probes = _Probes(manifest, banks, defects) if defects and uses_probe else None
    known = set(defects.patches.sources) if defects else set()
    samples = [s for s in manifest.real() if not s.is_defective or (probes and s.image in known)]
    # Fold by fold, so that each bank is made once; what is returned keeps the manifest's order.
    order = sorted(range(len(samples)), key=lambda i: banks.fold_of[samples[i].image])
    scored: dict[int, HeldOutImage] = {}
    patches: dict[int, KeptPatches] = {}
    for done, i in enumerate(order, start=1):
        sample = samples[i]
        image = read_image(manifest.image_path(sample))
        features = embed(image)
        held_out = _hold_out(sample, manifest, image, features, banks, defects, probes)
        if sample.is_defective:
            mask = defect_mask(manifest, sample, pseudo_masks)
            cells = covered_cells(mask, *features.shape[:2])
            held_out = replace(held_out, defect_cells=cells)
        else:
            patches[i] = _keep(sample.image, features, held_out.evidence)
        scored[i] = held_out
        progress("scoring held-out images", done, len(samples))
    normals = [scored[i] for i, sample in enumerate(samples) if not sample.is_defective]
    defectives = [scored[i] for i, sample in enumerate(samples) if sample.is_defective]
    training = TrainingEvidence(tuple(normals), tuple(defectives), false_alarm_rate)
    return CrossFit(
        training, tuple(patches[i] for i in sorted(patches)), probes.final if probes else None
    )


class _Probes:
    """The final probe, and those that lack a fold or a cluster of defects."""

    def __init__(self, manifest: Manifest, banks: NormalBanks, defects: DefectPatches) -> None:
        self.whitening = fit_whitening(banks.sample.vectors)
        self._white = {
            name: self.whitening(defects.patches.of(name)) for name in defects.patches.sources
        }
        order = np.random.default_rng(0).permutation(len(banks.sample))[:PROBE_PATCHES]
        negatives = banks.sample.select(np.sort(order))
        white = self.whitening(negatives.vectors)
        fold_of = banks.fold_of
        fold = np.array([fold_of[name] for name in negatives.sources])[negatives.image]
        synthetic = {s.image for s in manifest.synthetic()}
        real = {name: v for name, v in self._white.items() if name not in synthetic}
        self.cluster_of = _cluster(manifest, real)
        clusters = sorted(set(self.cluster_of.values()))

        def fit(excluded: set[str], negatives: np.ndarray) -> Probe | None:
            known = [vectors for name, vectors in self._white.items() if name not in excluded]
            return fit_probe(self.whitening, negatives, known) if known else None

        whole = fit(set(), white)
        assert whole is not None, "the defect bank comes from some image"
        self.final = whole
        self.without_own_patches: dict[int, Probe] = {}
        self.without_fold: dict[int, Probe] = {}
        for k in sorted(set(fold_of.values())):
            others = white[fold != k]
            gone = manifest.with_offspring({name for name, f in fold_of.items() if f == k})
            self.without_own_patches[k] = fit(gone & synthetic, others) or self.final
            self.without_fold[k] = fit(gone, others) or self.without_own_patches[k]
        self.without_cluster: dict[int, Probe] = {}
        if len(clusters) > 1:
            for cluster in clusters:
                self.without_cluster[cluster] = fit(self.of_cluster(manifest, cluster), white) or (
                    self.final
                )

    def of_cluster(self, manifest: Manifest, cluster: int) -> set[str]:
        """The defective images of a cluster, and the synthetic ones made from them."""
        return manifest.with_offspring({n for n, c in self.cluster_of.items() if c == cluster})


def _cluster(manifest: Manifest, white: dict[str, np.ndarray]) -> dict[str, int]:
    """The cluster of each defective image: its kind, where all have one of at least two.

    Else k-means of the directions of the mean whitened defect patches, so that the guard can ask
    what an unseen sort of defect would cost.
    """
    names = list(white)
    kinds = {s.image: s.kind for s in manifest if s.image in white}
    if all(kinds.values()) and len(set(kinds.values())) > 1:
        order = sorted(set(kinds.values()))
        return {name: order.index(kinds[name]) for name in names}
    count = min(MAX_CLUSTERS, len(names) // 2)
    if count < 2:
        return dict.fromkeys(names, 0)
    means = np.stack([white[name].mean(axis=0) for name in names]).astype(np.float64)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    _, labels = kmeans2(means, count, minit="++", seed=0)
    return dict(zip(names, labels.tolist(), strict=True))


def _hold_out(
    sample: Sample,
    manifest: Manifest,
    image: np.ndarray,
    features: np.ndarray,
    banks: NormalBanks,
    defects: DefectPatches | None,
    probes: _Probes | None,
) -> HeldOutImage:
    fold = banks.fold_of[sample.image]
    height, width = image.shape[:2]
    if sample.image not in banks.found:
        banks.found[sample.image] = gather_evidence(features, banks.without_fold[fold], None)
    evidence = banks.found[sample.image]
    if defects is None:
        return HeldOutImage(evidence, fold, width, height)
    group = _group(sample, manifest)
    if probes is None:  # as the model itself will search: exact distances, and w_P
        defect = search(features, _without(defects.bank, group), defect_weight)
        return HeldOutImage(replace(evidence, defect=defect), fold, width, height)
    distances = defects.bank.nearest_by_source(features)
    sources = defects.bank.sources

    def without(excluded: set[str], probe: Probe) -> Evidence:
        allowed = np.array([name not in excluded for name in sources])
        if not allowed.any():  # nothing else is known: better its own than nothing
            allowed[:] = True
        distance = np.where(allowed, distances, np.inf).min(axis=-1)
        unknown = np.full(distance.shape, -1, dtype=np.int64)
        return Evidence(evidence.normal, Nearest(distance, unknown), probe(features))

    if not sample.is_defective:
        own = group
        seen = without(own, probes.without_own_patches[fold])
    else:
        own = manifest.with_offspring({n for n, f in banks.fold_of.items() if f == fold})
        seen = without(own, probes.without_fold[fold])
    unseen = {}
    for cluster, probe in probes.without_cluster.items():
        if not sample.is_defective or probes.cluster_of[sample.image] == cluster:
            unseen[cluster] = without(probes.of_cluster(manifest, cluster), probe)
    is_known = not sample.is_defective or bool(set(sources) - own)
    return HeldOutImage(seen, fold, width, height, unseen=unseen, is_known=is_known)


def held_out_images(
    embed: EmbedImage,
    manifest: Manifest,
    banks: NormalBanks,
    defects: DefectPatches | None,
    progress: Progress,
) -> Iterator[tuple[np.ndarray, MemoryBank, MemoryBank | None]]:
    """Features of some training images, each with banks that never saw it.

    The normal bank is the one without its fold, the defect bank without its group.
    """
    samples: list[Sample] = []
    for label in ("negative", "positive"):
        some = manifest.real().part(label=label).samples
        samples += some[:: max(1, len(some) // UNSEEN)][:UNSEEN]
    samples.sort(key=lambda sample: banks.fold_of[sample.image])  # one bank at a time
    for i, sample in enumerate(samples):
        features = embed(read_image(manifest.image_path(sample)))
        defect = _without(defects.bank, _group(sample, manifest)) if defects else None
        yield features, banks.without_fold[banks.fold_of[sample.image]], defect
        progress("accuracy of approximate search", i + 1, len(samples))


def _group(sample: Sample, manifest: Manifest) -> set[str]:
    """The images of a sample's group, and the synthetic ones made from them."""
    group = {s.image for s in manifest.real() if sample.group and s.group == sample.group}
    return manifest.with_offspring(group | {sample.image})


def _without(bank: MemoryBank, group: set[str]) -> MemoryBank:
    """The bank without a group; whole where nothing else is in it."""
    if not group & set(bank.sources):
        return bank
    others = bank.without(group)
    return others if len(others) else bank


def _keep(name: str, features: np.ndarray, evidence: Evidence) -> KeptPatches:
    distances = evidence.normal.distance.ravel()
    kept = set(np.argsort(-distances, kind="stable")[:KEPT_PATCHES].tolist())
    if evidence.defect is not None:
        ratio = distances / np.maximum(evidence.defect.distance.ravel(), 1e-6)
        kept |= set(np.argsort(-ratio, kind="stable")[:KEPT_PATCHES].tolist())
    places = sorted(kept)
    return KeptPatches(name, features.reshape(-1, features.shape[-1])[places], distances[places])
