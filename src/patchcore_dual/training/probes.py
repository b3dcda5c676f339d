"""The final probe, and those that lack a fold or a cluster of defects."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.scoring.fusion.probe import (
    Moments,
    Probe,
    Whitening,
    fit_weighted_probes,
)
from patchcore_dual.training.defect_bank import DefectPatches
from patchcore_dual.training.normal_banks import NormalBanks

PROBE_PATCHES = 20_000  # normal patches that the probe is trained on
AT_ONCE = 2**25  # elements of the whitening matrices that are held together
MAX_CLUSTERS = 5  # of defects whose kinds have no names


class Probes:
    """Every probe that cross-fitting needs.

    Attributes:
        whitening: of the inputs of the final probe and of those without a cluster; those without a
            fold have their own.
        normal_sample: the normal patches that they are trained on.
        cluster_of: the cluster of each real defective image, by name.
        final: trained on everything.
        without_own_patches: by fold; scores the normal images of the fold. Trained without the
            fold's normal patches and without synthetic images derived from its images.
        without_fold: by fold; scores the defective images of the fold. Trained without the fold's
            defective images, too.
        without_cluster: by cluster; scores images as if the cluster were unknown. Trained without
            its defective images and the synthetic ones derived from them. Empty where there is one
            cluster.
    """

    def __init__(self, training_set: Manifest, banks: NormalBanks, defects: DefectPatches) -> None:
        self._training_set = training_set
        fold_of_all = _fold_of_rows(banks.sample, banks.fold_of)
        sample, folds = banks.sample.vectors, sorted(set(banks.fold_of.values()))
        origin = sample.mean(axis=0)
        parts = {k: Moments.of(sample[fold_of_all == k], origin) for k in folds}
        moments = Moments.joined(list(parts.values()))
        self.whitening = moments.whitening()
        order = np.random.default_rng(0).permutation(len(banks.sample))[:PROBE_PATCHES]
        self.normal_sample = banks.sample.select(np.sort(order))
        fold = _fold_of_rows(self.normal_sample, banks.fold_of)
        synthetic = {s.image for s in training_set.synthetic()}
        patches, training = defects.patches, _Patches(self.normal_sample, defects.patches)
        everything = np.ones(len(self.normal_sample), dtype=bool)
        white = {name: self.whitening(patches.of(name)) for name in patches.sources}
        self.cluster_of = _clusters(
            training_set, {name: v for name, v in white.items() if name not in synthetic}
        )
        clusters = sorted(set(self.cluster_of.values()))
        clusters = clusters if len(clusters) > 1 else []
        on_everything = [_Task(set(), everything)]
        on_everything += [_Task(self.of_cluster(cluster), everything) for cluster in clusters]
        final, *others = training.fit([self.whitening] * len(on_everything), on_everything)
        assert final is not None, "the defect bank comes from some image"
        self.final = final
        self.without_cluster = {c: p or final for c, p in zip(clusters, others, strict=True)}
        self.without_own_patches: dict[int, Probe] = {}
        self.without_fold: dict[int, Probe] = {}
        at_once = max(1, AT_ONCE // origin.size**2)
        for some in (folds[i : i + at_once] for i in range(0, len(folds), at_once)):
            whitenings, tasks = [], []
            for k in some:
                # What is whitened by its own covariance varies less than a new image does.
                rest = moments.without(parts[k])
                whitening = rest.whitening() if rest.count else self.whitening
                own = {name for name, f in banks.fold_of.items() if f == k}
                excluded = training_set.with_offspring(own)
                derived = excluded & synthetic
                tasks += [_Task(derived, fold != k), _Task(excluded, fold != k)]
                whitenings += [whitening, whitening]
            probes = training.fit(whitenings, tasks)
            for k, own_patches, whole in zip(some, probes[::2], probes[1::2], strict=True):
                self.without_own_patches[k] = own_patches or final
                self.without_fold[k] = whole or self.without_own_patches[k]

    def of_cluster(self, cluster: int) -> set[str]:
        """The defective images of a cluster, and the synthetic ones made from them."""
        members = {name for name, c in self.cluster_of.items() if c == cluster}
        return self._training_set.with_offspring(members)


class _Task(NamedTuple):
    """A probe to be fitted: the defective images that it lacks, and the normal patches it has."""

    excluded: set[str]
    normal: np.ndarray  # bool [n]


class _Patches:
    """The patches that all probes are trained on; each probe counts some of them."""

    def __init__(self, normal: MemoryBank, defects: MemoryBank) -> None:
        self._defects = defects
        self._origin = normal.vectors.mean(axis=0)
        self._x = np.concatenate([defects.vectors, normal.vectors])
        self._x -= self._origin

    def fit(self, whitenings: Sequence[Whitening], tasks: Sequence[_Task]) -> list[Probe | None]:
        """The probes; None where no defects are left. Equal ones are fitted once."""
        columns: list[np.ndarray] = []
        used: list[Whitening] = []
        number: dict[tuple[int, bytes], int] = {}
        which: list[int | None] = []
        for whitening, task in zip(whitenings, tasks, strict=True):
            weights = self._weights(*task)
            if weights is None:
                which.append(None)
                continue
            key = id(whitening), weights.tobytes()
            if key not in number:
                number[key] = len(columns)
                columns.append(weights)
                used.append(whitening)
            which.append(number[key])
        if not columns:
            return [None] * len(tasks)
        probes = fit_weighted_probes(
            used, self._x, len(self._defects), np.stack(columns, axis=1), origin=self._origin
        )
        return [None if i is None else probes[i] for i in which]

    def _weights(self, excluded: set[str], normal: np.ndarray) -> np.ndarray | None:
        """The weight of every patch; None where no defective image is left."""
        image = self._defects.image
        known = np.array([name not in excluded for name in self._defects.sources])
        if not known.any():
            return None
        share = known / np.maximum(np.bincount(image, minlength=len(known)), 1) / known.sum()
        return np.concatenate([share[image], normal / normal.sum()]) / 2


def _fold_of_rows(bank: MemoryBank, fold_of: dict[str, int]) -> np.ndarray:
    """The fold of each vector's image."""
    return np.array([fold_of[name] for name in bank.sources])[bank.image]


def _clusters(training_set: Manifest, white: dict[str, np.ndarray]) -> dict[str, int]:
    """The cluster of each defective image, by name: its kind, if all have one and these differ.

    Otherwise clusters are found by k-means on the directions of the mean whitened defect patches,
    so that the guard can measure what an unseen sort of defect would cost.

    Args:
        white: float32 `[m, d]`, the whitened defect patches of each image, by name.
    """
    from scipy.cluster.vq import kmeans2  # here, since inspection would wait for it

    names = list(white)
    kinds = {s.image: s.kind for s in training_set if s.image in white}
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
