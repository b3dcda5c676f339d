"""The normal bank of all normal images, and those without each fold (thesis 4.3.3, 4.3.4).

Besides the bank of all normal training images, one is built for each fold of cross-validation from
the images outside it, so that every training image can be scored out of fold
(`cross_fitting.py`). These banks share most of their vectors, which are stored once; each bank is
made when it is asked for.
"""

import functools
import logging
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from patchcore_dual.banks import EXACT, MemoryBank, coreset_size, select_coresets
from patchcore_dual.banks.uninspected import uninspected
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.features import Embedder
from patchcore_dual.scoring import Evidence
from patchcore_dual.settings import Settings
from patchcore_dual.training.context import FitContext, fit_context
from patchcore_dual.training.estimate import estimate
from patchcore_dual.training.evidence_cache import EvidenceCache
from patchcore_dual.training.feature_passes import WORK_PER_PATCH, FeaturePasses, draw
from patchcore_dual.training.folds import (
    FOLDS,
    FOLDS_OF_LARGE_SETS,
    assign_folds,
    check_training_set,
)
from patchcore_dual.utils.progress import Progress, silent

SAMPLED_PATCHES = 50_000  # normal patches for the probe's whitening, of all images together
BANKS_HELD = 3  # of this size at once: the whole one, one without a fold, and its search index

_log = logging.getLogger(__name__)


class FoldBanks(Sequence[MemoryBank]):
    """For each fold, the bank that leaves it out; made on demand from one shared set of vectors.

    The last bank is cached, since images are gone through fold by fold.
    """

    def __init__(
        self, union: MemoryBank, chosen: Sequence[np.ndarray], channels: np.ndarray | None
    ) -> None:
        """`chosen`: for each fold, int64 `[n]`, the vectors of `union` in its bank."""
        self._union, self._chosen, self._channels = union, chosen, channels
        self._last: tuple[int, MemoryBank] | None = None

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, fold: int) -> MemoryBank:  # type: ignore[override]
        if not 0 <= fold < len(self):
            raise IndexError(fold)
        if self._last is None or self._last[0] != fold:
            self._last = None  # before the next is made, so that there are never two
            bank = self._union.select(self._chosen[fold])
            self._last = fold, bank.restricted(self._channels)
        return self._last[1]


@dataclass(frozen=True)
class NormalBanks:
    """The normal bank of all normal images, and for each fold the one built without it.

    Attributes:
        whole: of all normal images.
        without_fold: by number of the fold; empty where they were not asked for.
        fold_of: the fold of every training image, by name; groups are never divided.
        sample: some patches of all normal images, drawn evenly.
        radius: covering radius of `whole` among projected features.
        evidence: out-of-fold distances to normal by image, kept so that another defect bank can be
            tried beside the same normal banks without searching them again.
        variants: the light variants of good images that the banks were built from too.
    """

    whole: MemoryBank
    without_fold: Sequence[MemoryBank]
    fold_of: dict[str, int]
    sample: MemoryBank
    radius: float
    evidence: MutableMapping[str, Evidence] = field(default_factory=dict)
    variants: tuple[Sample, ...] = ()


def build_normal_banks(
    context: FitContext, training_set: Manifest, with_folds: bool = True
) -> NormalBanks:
    """Build the normal banks of a training set, or finish what an interrupted run began.

    Args:
        with_folds: also build the banks without each fold, which are most of the work and are
            needed to calibrate.

    Raises:
        DataError: where there are too few normal images.
        SettingsError: where the memory limit is too low.
    """
    check_training_set(training_set)
    settings, checkpoint, channels = context.settings, context.checkpoint, context.normal_channels
    originals = training_set.part(label="negative").samples
    variants = tuple(context.light.variants(originals))
    samples = (*originals, *variants)

    def all_patches(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        features = context.features(training_set, sample)
        h, w, d = features.shape
        vectors, cells = features.reshape(-1, d), np.indices((h, w)).reshape(2, -1).T
        outside = uninspected(vectors)
        return (vectors[~outside], cells[~outside]) if outside.any() else (vectors, cells)

    passes = FeaturePasses(
        "normal images",
        samples,
        all_patches,
        lambda function, some: context.each(function, training_set, some),
        channels,
        settings.seed,
        checkpoint,
        context.memory,
        context.progress,
    )
    patches, width = passes.layout()
    # Light variants make no bank larger, and no folds fewer; they are in their image's fold.
    share = len(originals) / len(samples)
    size = coreset_size(round(share * patches), settings.normal_rate)
    folds_at_most = FOLDS if share * patches * size <= EXACT else FOLDS_OF_LARGE_SETS
    fold_of = assign_folds(training_set.real().samples, settings.seed, folds_at_most)
    fold_of |= {one.image: fold_of[parent] for one in variants for parent in one.parents}
    left_out = [None, *range(max(fold_of.values()) + 1)] if with_folds else [None]
    context.memory.require(max(WORK_PER_PATCH * patches, 4 * width * BANKS_HELD * size))
    if checkpoint.resumes:
        _log.info("Continuing what an interrupted run left in %s.", checkpoint.folder)
    if (seconds := passes.seconds_per_image()) is not None:
        again = 1 - min(1, context.cached_bytes / (4 * patches * width))
        embedded = 1 + (1 + with_folds) * again
        _log.info(
            "%s",
            estimate(
                images=len(samples),
                patches=patches,
                width=width,
                chosen=size,
                banks=len(left_out),
                seconds=seconds,
                embedded=embedded,
            ),
        )
    folds = np.array([fold_of[s.image] for s in samples], dtype=np.uint8)

    def choose() -> dict[str, np.ndarray]:
        rows = passes.project()
        coresets = select_coresets(
            rows.projected,
            folds[rows.image],
            left_out,
            size_of=lambda count: coreset_size(round(share * count), settings.normal_rate),
            seed=settings.seed,
            progress=functools.partial(context.progress, "coresets of normal images"),
            spread=context.spread,
        )
        chosen = {f"chosen{i}": coreset.rows for i, coreset in enumerate(coresets)}
        radius = np.array([coreset.radius for coreset in coresets])
        return {**chosen, "radius": radius, "starts": rows.starts}

    def fits(kept: dict[str, np.ndarray]) -> bool:
        starts, radius = kept["starts"], kept["radius"]
        return (
            (starts.shape, radius.shape) == ((len(samples) + 1,), (len(left_out),))
            and starts[0] == 0
            and bool(np.all(np.diff(starts) >= 0))
            and all(
                rows.ndim == 1
                and rows.dtype.kind == "i"
                and 0 <= rows.min() <= rows.max() < starts[-1]
                for rows in (kept[f"chosen{i}"] for i in range(len(left_out)))
            )
        )

    kept = checkpoint.arrays("coresets", choose, fits)
    chosen = [kept[f"chosen{i}"] for i in range(len(left_out))]
    starts, radius = kept["starts"], float(kept["radius"][0])
    _log.info(
        "Coreset: %d of %d patches, covering radius %.4g among projected features.",
        len(chosen[0]),
        starts[-1],
        radius,
    )
    drawn = draw(int(starts[-1]), SAMPLED_PATCHES, settings.seed)
    wanted = np.unique(np.concatenate(chosen))
    union, sample = passes.collect(starts, (wanted, drawn))
    whole, *without_fold = (np.searchsorted(wanted, rows) for rows in chosen)
    stored = checkpoint.rows("out-of-fold distances", np.float64, 2)
    return NormalBanks(
        union.select(whole).restricted(channels),
        FoldBanks(union, without_fold, channels),
        fold_of,
        sample,
        radius,
        EvidenceCache(tuple(fold_of), stored),
        variants,
    )


def normal_banks_of(
    training_set: Manifest,
    embedder: Embedder,
    settings: Settings,
    *,
    with_folds: bool = True,
    progress: Progress = silent,
) -> NormalBanks:
    """Build the normal banks without a checkpoint: to share between fits, or to use on their own.

    Args:
        embedder: as the banks see images, a projection included.
        with_folds: see `build_normal_banks`.
    """
    with fit_context(training_set, embedder, settings, progress=progress) as context:
        banks = build_normal_banks(context, training_set, with_folds)
        return replace(banks, evidence=dict(banks.evidence))
