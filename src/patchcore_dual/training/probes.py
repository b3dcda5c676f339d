"""The final probe, and those that lack a fold or a cluster of defects."""

from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np
from threadpoolctl import threadpool_limits

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.scoring.fusion.probe import (
    Moments,
    Probe,
    Whitening,
    fit_weighted_probe,
)
from patchcore_dual.training.defect_bank import DefectPatches
from patchcore_dual.training.normal_banks import NormalBanks

PROBE_PATCHES = 20_000  # normal patches that the probe is trained on
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
        sample = banks.sample.vectors
        moments = Moments.of(sample, sample.mean(axis=0))
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
        final = training.fit(self.whitening, set(), everything)
        assert final is not None, "the defect bank comes from some image"
        self.final = final
        clusters = sorted(set(self.cluster_of.values()))
        self.without_cluster: dict[int, Probe] = {}
        if len(clusters) > 1:
            for cluster in clusters:
                probe = training.fit(self.whitening, self.of_cluster(cluster), everything)
                self.without_cluster[cluster] = probe or self.final
        folds = sorted(set(banks.fold_of.values()))

        def of_fold(k: int) -> tuple[Probe, Probe]:
            # What is whitened by its own covariance varies less than a new image does.
            rest = moments.without(Moments.of(sample[fold_of_all == k], moments.origin))
            whitening = rest.whitening() if rest.count else self.whitening
            excluded = training_set.with_offspring({n for n, f in banks.fold_of.items() if f == k})
            derived = excluded & synthetic
            without = training.fit(whitening, derived, fold != k) or self.final
            if not (excluded - derived) & set(patches.sources):
                return without, without
            return without, training.fit(whitening, excluded, fold != k) or without

        with (
            threadpool_limits(1, user_api="blas"),
            ThreadPoolExecutor(min(cpu_count() or 1, 4)) as pool,
        ):
            probes = dict(zip(folds, pool.map(of_fold, folds), strict=True))
        self.without_own_patches = {k: without for k, (without, _) in probes.items()}
        self.without_fold = {k: without for k, (_, without) in probes.items()}

    def of_cluster(self, cluster: int) -> set[str]:
        """The defective images of a cluster, and the synthetic ones made from them."""
        members = {name for name, c in self.cluster_of.items() if c == cluster}
        return self._training_set.with_offspring(members)


class _Patches:
    """The patches that all probes are trained on; each probe counts some of them."""

    def __init__(self, normal: MemoryBank, defects: MemoryBank) -> None:
        self._defects = defects
        self._origin = normal.vectors.mean(axis=0)
        self._x = np.concatenate([defects.vectors, normal.vectors])
        self._x -= self._origin

    def fit(self, whitening: Whitening, excluded: set[str], normal: np.ndarray) -> Probe | None:
        """A probe trained without some defective images; None where no others are left.

        Args:
            normal: bool `[n]`, which normal patches count.
        """
        image = self._defects.image
        known = np.array([name not in excluded for name in self._defects.sources])
        if not known.any():
            return None
        share = known / np.maximum(np.bincount(image, minlength=len(known)), 1) / known.sum()
        weight = np.concatenate([share[image], normal / normal.sum()]) / 2
        return fit_weighted_probe(whitening, self._x, len(image), weight, origin=self._origin)


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
