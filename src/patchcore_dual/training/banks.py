"""Building the banks from training images (thesis 4.3.3, 4.3.4).

Of all images only projected features are kept; the full vectors that the coresets chose, and those
drawn for the probe, are computed again in a second pass. Beside the bank of all good images, one is
built without each fold of them, so that every training image can be scored as if it were new
(`cross_fitting.py`). These banks have many vectors in common, which are held once; a bank without a
fold is made when it is asked for.
"""

import functools
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from patchcore_dual.banks import (
    MemoryBank,
    coreset_size,
    select_coresets,
)
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.errors import DataError
from patchcore_dual.features.defect_patches import EmbedImage, defect_patches
from patchcore_dual.scoring import Evidence
from patchcore_dual.settings import Settings
from patchcore_dual.training.checkpoint import FitCheckpoint
from patchcore_dual.training.estimate import estimate
from patchcore_dual.training.evidence_cache import EvidenceCache
from patchcore_dual.training.feature_passes import WORK_PER_PATCH, FeaturePasses
from patchcore_dual.utils.memory import UNLIMITED, Memory
from patchcore_dual.utils.progress import Progress

FOLDS = 5
SAMPLED_PATCHES = 50_000  # good patches for the probe's whitening, of all images together
SAMPLED_DEFECT_PATCHES = 20_000  # of real defects, and as many of synthetic ones
BANKS_HELD = 3  # the whole one, one without a fold, and what its search keeps


class FoldBanks(Sequence[MemoryBank]):
    """The banks without each fold, made of a common one when they are asked for.

    The last one is kept: whoever goes through images fold by fold needs one at a time.
    """

    def __init__(
        self, union: MemoryBank, chosen: Sequence[np.ndarray], channels: np.ndarray | None
    ) -> None:
        """`chosen`: for each fold, which vectors of `union` its bank has."""
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
    """The normal bank of all good images, and for each fold the one built without it.

    Attributes:
        radius: the covering radius of `whole` among projected features (`composed_coreset.py`).
        fold_of: the fold of every training image, by name; groups are whole.
        sample: some patches of all good images, drawn evenly.
        found: evidence of `without_fold` by image, kept so that another defect bank can be tried
            with the same normal banks at no further search.
    """

    whole: MemoryBank
    without_fold: Sequence[MemoryBank]
    fold_of: dict[str, int]
    sample: MemoryBank
    radius: float
    found: MutableMapping[str, Evidence] = field(default_factory=dict)


@dataclass(frozen=True)
class DefectPatches:
    """The defect bank, and the patches it was chosen from (or an even draw of very many)."""

    bank: MemoryBank
    patches: MemoryBank


def check_training_set(manifest: Manifest) -> None:
    """Raise DataError unless there are good images to learn from."""
    if not len(manifest):
        raise DataError(f"{manifest.folder}: no image is in the train split. Prepare it again.")
    if not len(manifest.part(label="negative")):
        raise DataError(
            f"{manifest.folder}: the train split has no good images (label negative). "
            "PatchCoreDual learns what is normal from good parts: add some."
        )


def build_normal_banks(
    embed: EmbedImage,
    manifest: Manifest,
    settings: Settings,
    channels: np.ndarray | None,
    progress: Progress,
    cross_fit: bool = True,
    unfinished: FitCheckpoint | None = None,
    memory: Memory = UNLIMITED,
    tell: Callable[[str], None] = lambda message: None,
) -> NormalBanks:
    """The normal banks of a training manifest (4.3.3, 4.3.4).

    Args:
        embed: uint8 `[H, W, 3]` to patch features `[h, w, d]`.
        channels: those of a patch feature that the banks take, None for all.
        hold_out: whether the banks without each fold are wanted; they are most of the work.
        unfinished: keeps what is done, and has what an earlier run did; None keeps nothing.
        memory: what may be used; what does not fit is mapped from the files of `unfinished`.
        tell: takes messages: how long it will take, what is done already.
    """
    if unfinished is None:
        with TemporaryDirectory() as folder:
            work = FitCheckpoint(Path(folder) / "fit", "")
            banks = build_normal_banks(
                embed, manifest, settings, channels, progress, cross_fit, work, UNLIMITED, tell
            )
            return replace(banks, found={})
    samples = manifest.part(label="negative").samples
    fold_of = assign_folds(manifest.real().samples, settings.seed)
    left_out = [None, *range(max(fold_of.values()) + 1)] if cross_fit else [None]

    def all_patches(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        features = embed(read_image(manifest.image_path(sample)))
        h, w, d = features.shape
        return features.reshape(-1, d), np.indices((h, w)).reshape(2, -1).T

    passes = FeaturePasses(
        "good images", samples, all_patches, channels, settings.seed, unfinished, memory, progress
    )
    patches, width = passes.layout()
    size = coreset_size(patches, settings.normal_rate)
    memory.require(max(WORK_PER_PATCH * patches, 4 * width * BANKS_HELD * size))
    if unfinished.resumes:
        tell(f"Going on from what an interrupted run left in {unfinished.folder}.")
    if (seconds := passes.pace()) is not None:
        tell(str(estimate(len(samples), patches, width, size, len(left_out), seconds)))
    folds = np.array([fold_of[s.image] for s in samples], dtype=np.uint8)

    def choose() -> dict[str, np.ndarray]:
        rows = passes.project()
        coresets = select_coresets(
            rows.projected,
            folds[rows.image],
            left_out,
            lambda count: coreset_size(count, settings.normal_rate),
            settings.seed,
            functools.partial(progress, "coresets of good images"),
        )
        chosen = {f"chosen{i}": coreset.rows for i, coreset in enumerate(coresets)}
        radius = np.array([coreset.radius for coreset in coresets])
        return {**chosen, "radius": radius, "starts": rows.starts}

    kept = unfinished.arrays("coresets", choose)
    chosen = [kept[f"chosen{i}"] for i in range(len(left_out))]
    starts, radius = kept["starts"], float(kept["radius"][0])
    tell(
        f"Coreset: {len(chosen[0])} of {starts[-1]} patches; none is farther than {radius:.4g} "
        "from it among projected features."
    )
    drawn = _draw(int(starts[-1]), SAMPLED_PATCHES, settings.seed)
    wanted = np.unique(np.concatenate(chosen))
    union, sample = passes.collect(starts, (wanted, drawn))
    whole, *without_fold = (np.searchsorted(wanted, rows) for rows in chosen)
    whole_bank = union.select(whole).restricted(channels)
    found = EvidenceCache(tuple(fold_of), unfinished.rows("held-out distances", np.float64, 2))
    return NormalBanks(
        whole_bank,
        FoldBanks(union, without_fold, channels),
        fold_of,
        sample,
        radius,
        found,
    )


def build_defect_bank(
    embed: EmbedImage,
    manifest: Manifest,
    settings: Settings,
    size: tuple[int, int] | None,
    channels: np.ndarray | None,
    pseudo_masks: dict[str, np.ndarray],
    progress: Progress,
) -> DefectPatches | None:
    """The defect bank of a training manifest; None where nothing shows where a defect lies.

    Synthetic defects have a coreset of their own: what is kept of the real ones does not depend
    on them.

    Args:
        size: width and height of the model's images, None where they vary.
        channels: those of a patch feature that the bank takes, None for all.
        proposed: masks of defective images that have none of their own (`pseudo_masks.py`).
    """
    known = [
        s for s in manifest.part(label="positive") if s.mask_is_known or s.image in pseudo_masks
    ]
    origins = [[s for s in known if s.is_synthetic == is_synthetic] for is_synthetic in (0, 1)]
    if not known:
        return None

    def patches_of_defects(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        image = read_image(manifest.image_path(sample))
        mask = defect_mask(manifest, sample, pseudo_masks)
        return defect_patches(embed, image, mask, settings.patches, size)

    found = []
    for samples, name in zip(origins, ("defects", "synthetic defects"), strict=True):
        if samples:
            with TemporaryDirectory() as folder:
                store = FitCheckpoint(Path(folder) / "fit", "")
                passes = FeaturePasses(
                    name,
                    samples,
                    patches_of_defects,
                    channels,
                    settings.seed,
                    store,
                    UNLIMITED,
                    progress,
                )
                rows = passes.project()
                count = int(rows.starts[-1])
                (chosen,) = select_coresets(
                    rows.projected,
                    np.zeros(count, dtype=np.uint8),
                    [None],
                    lambda count: coreset_size(count, settings.defect_rate),
                    settings.seed,
                    functools.partial(progress, f"coreset of {name}"),
                )
                choices = (chosen.rows, _draw(count, SAMPLED_DEFECT_PATCHES, settings.seed))
                found.append(passes.collect(rows.starts, choices))
    bank, patches = (MemoryBank.join(banks) for banks in zip(*found, strict=True))
    return DefectPatches(bank.restricted(channels), patches)


def defect_mask(
    manifest: Manifest, sample: Sample, pseudo_masks: dict[str, np.ndarray]
) -> np.ndarray:
    """bool `[H, W]`: the sample's mask, or the one proposed for it."""
    if sample.image in pseudo_masks:
        return pseudo_masks[sample.image]
    return read_mask(manifest.folder / sample.mask)


def assign_folds(samples: Sequence[Sample], seed: int, folds: int = FOLDS) -> dict[str, int]:
    """The fold of each training image, by name: groups whole, shuffled, evenly spread.

    Groups with defects come first, each to the fold with the fewest defective images, then the
    others, each to the fold with the fewest good ones. Where all good images are of one group,
    each image is taken for a group of its own.
    """
    normals = [s for s in samples if not s.is_defective]
    if len(normals) < 2:
        raise DataError(
            "one good training image is too few: a threshold needs images that the bank has not "
            "seen. Give at least 2 (for a false-alarm rate of 1 %, at least 99)."
        )
    by_image = len({s.group or s.image for s in normals}) < 2
    members: dict[str, list[Sample]] = {}
    for sample in samples:
        members.setdefault(sample.image if by_image else sample.group or sample.image, []).append(
            sample
        )
    names = sorted(members)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    defective = {name: sum(s.is_defective for s in members[name]) for name in names}
    n_folds = min(folds, len({s.image if by_image else s.group or s.image for s in normals}))
    load = np.zeros((2, n_folds), dtype=np.int64)  # good and defective images of each fold
    fold_of = {}
    for name in sorted(shuffled, key=lambda name: defective[name] == 0):
        first = 1 if defective[name] else 0
        # A fold without good images would leave another one's bank empty: those are filled first.
        has_good = (load[0] > 0) & (len(members[name]) > defective[name])
        fold = int(np.lexsort((load[1 - first], load[first], has_good))[0])
        load[:, fold] += (len(members[name]) - defective[name], defective[name])
        fold_of.update({s.image: fold for s in members[name]})
    return fold_of


def _draw(n: int, size: int, seed: int) -> np.ndarray:
    """At most `size` of n row numbers, sorted."""
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))
