"""Building the banks and the held-out evidence from training images (thesis 4.3.3, 4.3.4).

Only projected features of all images are ever held in memory; the full vectors that the coresets
chose are computed again in a second pass. A third pass scores every normal image by a bank that
was built without its group, so that thresholds rest on images the bank has not seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from patchcore_dual.banks import MemoryBank, coreset_size, projection_matrix, select_coreset
from patchcore_dual.errors import DataError
from patchcore_dual.features.defect_patches import Embed, defect_patches
from patchcore_dual.images.manifest import Manifest, Sample
from patchcore_dual.images.reading import read_image, read_mask
from patchcore_dual.progress import Progress
from patchcore_dual.scoring.evidence import Evidence, gather_evidence
from patchcore_dual.settings import Settings

FOLDS = 5
KEPT_PATCHES = 4  # of each held-out image, by distance from normal and by the ratio


@dataclass(frozen=True)
class HeldOut:
    """One normal training image, scored by banks that were built without its group.

    Attributes:
        name: the image.
        width, height: of the prepared image.
        evidence: its distances to both banks.
        patches: float32 `[k, d]`, its few most anomalous patch features, with
        distances: float32 `[k]`, their d_N.
    """

    name: str
    width: int
    height: int
    evidence: Evidence
    patches: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class NormalBanks:
    """The normal bank of all good images, and for each fold the one built without it.

    Attributes:
        samples: the good training images.
        folds: int64 `[n]`, the fold of each.
    """

    whole: MemoryBank
    without_fold: tuple[MemoryBank, ...]
    samples: tuple[Sample, ...]
    folds: np.ndarray


Patches = Callable[[Sample], tuple[np.ndarray, np.ndarray]]
"""A sample's patch features `[m, d]` that a bank may take, and their grid cells `[m, 2]`."""


@dataclass(frozen=True)
class _Rows:
    """The projected patches of many images, stacked; for each its image and place among its own."""

    projected: np.ndarray
    image: np.ndarray
    place: np.ndarray


def build_normal_banks(
    embed: Embed, manifest: Manifest, settings: Settings, progress: Progress
) -> NormalBanks:
    """The normal banks of a training manifest (4.3.3, 4.3.4).

    Args:
        embed: uint8 `[H, W, 3]` to patch features `[h, w, d]`.
    """
    samples = manifest.part(label="negative").samples
    folds = assign_folds(samples, settings.seed)

    def all_patches(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        features = embed(read_image(manifest.image_path(sample)))
        h, w, d = features.shape
        return features.reshape(-1, d), np.indices((h, w)).reshape(2, -1).T

    rows = _project(samples, all_patches, settings.seed, progress, "features of good images")
    fold_of_row = folds[rows.image]
    members = [np.arange(len(fold_of_row))]
    members += [np.flatnonzero(fold_of_row != fold) for fold in range(folds.max() + 1)]
    choices = [
        _choose(
            rows, m, settings.normal_rate, settings.seed, progress, f"coreset {i} of {len(members)}"
        )
        for i, m in enumerate(members, start=1)
    ]
    banks = _collect(samples, all_patches, rows, choices, progress, "vectors of the normal bank")
    return NormalBanks(banks[0], tuple(banks[1:]), samples, folds)


def build_defect_bank(
    embed: Embed,
    manifest: Manifest,
    settings: Settings,
    size: tuple[int, int] | None,
    progress: Progress,
) -> MemoryBank | None:
    """The defect bank of a training manifest; None where no mask shows where a defect lies.

    Args:
        size: width and height of the model's images, None where they vary.
    """
    samples = [s for s in manifest.part(label="positive") if s.mask_is_known]
    if not samples:
        return None

    def patches_of_defects(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        image = read_image(manifest.image_path(sample))
        mask = read_mask(manifest.folder / sample.mask)
        return defect_patches(embed, image, mask, settings.patches, size)

    rows = _project(samples, patches_of_defects, settings.seed, progress, "features of defects")
    everything = np.arange(len(rows.image))
    stage = "coreset of the defect bank"
    chosen = _choose(rows, everything, settings.defect_rate, settings.seed, progress, stage)
    stage = "vectors of the defect bank"
    return _collect(samples, patches_of_defects, rows, [chosen], progress, stage)[0]


def score_held_out(
    embed: Embed,
    manifest: Manifest,
    banks: NormalBanks,
    defect_bank: MemoryBank | None,
    progress: Progress,
) -> list[HeldOut]:
    """Each good training image by the normal bank without its fold, the defect bank without its
    group: what the model would have said of it, had it not been there."""
    held_out = []
    for i, (sample, fold) in enumerate(zip(banks.samples, banks.folds, strict=True)):
        others = _without_group(defect_bank, manifest, sample)
        image = read_image(manifest.image_path(sample))
        normal_bank = banks.without_fold[fold]
        held_out.append(_hold_out(sample.image, image, embed(image), normal_bank, others))
        progress("scoring held-out images", i + 1, len(banks.samples))
    return held_out


def assign_folds(samples: Sequence[Sample], seed: int, folds: int = FOLDS) -> np.ndarray:
    """The fold of each sample, int64 `[n]`: groups whole, shuffled, each to the smallest fold.

    Where all samples are of one group, each is taken for its own.
    """
    names = [s.group or s.image for s in samples]
    if len(set(names)) < 2:
        names = [s.image for s in samples]
    groups, group_of, sizes = np.unique(names, return_inverse=True, return_counts=True)
    if len(groups) < 2:
        raise DataError(
            "one good training image is too few: a threshold needs images that the bank has not "
            "seen. Give at least 2 (for a false-alarm rate of 1 %, at least 99)."
        )
    fold_of_group = np.zeros(len(groups), dtype=np.int64)
    load = np.zeros(min(folds, len(groups)), dtype=np.int64)
    for group in np.random.default_rng(seed).permutation(len(groups)):
        fold_of_group[group] = load.argmin()
        load[load.argmin()] += sizes[group]
    return fold_of_group[group_of]


def _project(
    samples: Sequence[Sample], patches_of: Patches, seed: int, progress: Progress, stage: str
) -> _Rows:
    """First pass: the projected patches of all samples."""
    projected, image, place = [], [], []
    for i, sample in enumerate(samples):
        vectors, _ = patches_of(sample)
        projected.append(vectors @ projection_matrix(vectors.shape[1], seed))
        image.append(np.full(len(vectors), i, dtype=np.int32))
        place.append(np.arange(len(vectors), dtype=np.int32))
        progress(stage, i + 1, len(samples))
    return _Rows(np.concatenate(projected), np.concatenate(image), np.concatenate(place))


def _choose(
    rows: _Rows, members: np.ndarray, rate: float, seed: int, progress: Progress, stage: str
) -> np.ndarray:
    """The coreset of some rows, as sorted row numbers."""
    size = coreset_size(len(members), rate)
    chosen = select_coreset(
        rows.projected[members], size, seed, lambda done: progress(stage, done, size)
    )
    return np.sort(members[chosen])


def _collect(
    samples: Sequence[Sample],
    patches_of: Patches,
    rows: _Rows,
    choices: Sequence[np.ndarray],
    progress: Progress,
    stage: str,
) -> list[MemoryBank]:
    """Second pass: the full vectors of all rows that any coreset chose; a bank for each choice."""
    wanted = np.unique(np.concatenate(choices))
    kept_vectors, kept_cells = [], []
    for i, sample in enumerate(samples):
        places = rows.place[wanted[rows.image[wanted] == i]]
        if len(places):
            vectors, cells = patches_of(sample)
            kept_vectors.append(vectors[places])
            kept_cells.append(cells[places].astype(np.int32))
        progress(stage, i + 1, len(samples))
    union = MemoryBank(
        np.concatenate(kept_vectors),
        rows.image[wanted],
        np.concatenate(kept_cells),
        tuple(sample.image for sample in samples),
    )
    return [union.select(np.searchsorted(wanted, chosen)) for chosen in choices]


def _without_group(
    bank: MemoryBank | None, manifest: Manifest, sample: Sample
) -> MemoryBank | None:
    """The bank without the sample's group; the whole bank where nothing else would be left."""
    if bank is None or not sample.group:
        return bank
    own = {s.image for s in manifest if s.group == sample.group} & set(bank.sources)
    return bank.without(own) if own and len(own) < len(bank.sources) else bank


def _hold_out(
    name: str,
    image: np.ndarray,
    features: np.ndarray,
    normal_bank: MemoryBank,
    defect_bank: MemoryBank | None,
) -> HeldOut:
    evidence = gather_evidence(features, normal_bank, defect_bank)
    distances = evidence.normal.distance.ravel()
    kept = set(np.argsort(-distances, kind="stable")[:KEPT_PATCHES].tolist())
    if evidence.defect is not None:
        ratio = distances / np.maximum(evidence.defect.distance.ravel(), 1e-6)
        kept |= set(np.argsort(-ratio, kind="stable")[:KEPT_PATCHES].tolist())
    places = sorted(kept)
    patches = features.reshape(-1, features.shape[-1])[places]
    height, width = image.shape[:2]
    return HeldOut(name, width, height, evidence, patches, distances[places])
