"""Building the banks from training images (thesis 4.3.3, 4.3.4).

Only projected features of all images are ever held in memory; the full vectors that the coresets
chose, and those drawn for the probe, are computed again in a second pass. Beside the bank of all
good images, one is built without each fold of them, so that every training image can be scored as
if it were new (`holding_out.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from patchcore_dual.banks import MemoryBank, coreset_size, projection_matrix, select_coreset
from patchcore_dual.errors import DataError
from patchcore_dual.features.defect_patches import Embed, defect_patches
from patchcore_dual.images.manifest import Manifest, Sample
from patchcore_dual.images.reading import read_image, read_mask
from patchcore_dual.progress import Progress
from patchcore_dual.scoring import Evidence
from patchcore_dual.settings import Settings

FOLDS = 5
SAMPLED_PATCHES = 50_000  # good patches for the probe's whitening, of all images together
SAMPLED_DEFECT_PATCHES = 20_000  # of real defects, and as many of synthetic ones


@dataclass(frozen=True)
class NormalBanks:
    """The normal bank of all good images, and for each fold the one built without it.

    Attributes:
        fold_of: the fold of every training image, by name; groups are whole.
        sample: some patches of all good images, drawn evenly.
        found: evidence of `without_fold` by image, kept so that another defect bank can be tried
            with the same normal banks at no further search.
    """

    whole: MemoryBank
    without_fold: tuple[MemoryBank, ...]
    fold_of: dict[str, int]
    sample: MemoryBank
    found: dict[str, Evidence] = field(default_factory=dict)


@dataclass(frozen=True)
class DefectPatches:
    """The defect bank, and the patches it was chosen from (or an even draw of very many)."""

    bank: MemoryBank
    patches: MemoryBank


Patches = Callable[[Sample], tuple[np.ndarray, np.ndarray]]
"""A sample's patch features `[m, d]` that a bank may take, and their grid cells `[m, 2]`."""


@dataclass(frozen=True)
class _Rows:
    """The projected patches of many images, stacked; for each its image and place among its own."""

    projected: np.ndarray
    image: np.ndarray
    place: np.ndarray


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
    embed: Embed,
    manifest: Manifest,
    settings: Settings,
    channels: np.ndarray | None,
    progress: Progress,
    hold_out: bool = True,
) -> NormalBanks:
    """The normal banks of a training manifest (4.3.3, 4.3.4).

    Args:
        embed: uint8 `[H, W, 3]` to patch features `[h, w, d]`.
        channels: those of a patch feature that the banks take, None for all.
        hold_out: whether the banks without each fold are wanted; they are most of the work.
    """
    samples = manifest.part(label="negative").samples
    fold_of = assign_folds(manifest.real().samples, settings.seed)

    def all_patches(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        features = embed(read_image(manifest.image_path(sample)))
        h, w, d = features.shape
        return features.reshape(-1, d), np.indices((h, w)).reshape(2, -1).T

    stage = "features of good images"
    rows = _project(samples, all_patches, channels, settings.seed, progress, stage)
    fold_of_row = np.array([fold_of[s.image] for s in samples])[rows.image]
    members = [np.arange(len(fold_of_row))]
    if hold_out:
        folds = range(max(fold_of.values()) + 1)
        members += [np.flatnonzero(fold_of_row != fold) for fold in folds]
    choices = [
        _choose(
            rows, m, settings.normal_rate, settings.seed, progress, f"coreset {i} of {len(members)}"
        )
        for i, m in enumerate(members, start=1)
    ]
    choices.append(_draw(len(fold_of_row), SAMPLED_PATCHES, settings.seed))
    stage = "vectors of the normal bank"
    whole, *without_fold, sample = _collect(samples, all_patches, rows, choices, progress, stage)
    return NormalBanks(
        whole.restricted(channels),
        tuple(bank.restricted(channels) for bank in without_fold),
        fold_of,
        sample,
    )


def build_defect_bank(
    embed: Embed,
    manifest: Manifest,
    settings: Settings,
    size: tuple[int, int] | None,
    channels: np.ndarray | None,
    proposed: dict[str, np.ndarray],
    progress: Progress,
) -> DefectPatches | None:
    """The defect bank of a training manifest; None where nothing shows where a defect lies.

    Synthetic defects have a coreset of their own: what is kept of the real ones does not depend
    on them.

    Args:
        size: width and height of the model's images, None where they vary.
        channels: those of a patch feature that the bank takes, None for all.
        proposed: masks of defective images that have none of their own (`proposals.py`).
    """
    known = [s for s in manifest.part(label="positive") if s.mask_is_known or s.image in proposed]
    origins = [[s for s in known if s.is_synthetic == is_synthetic] for is_synthetic in (0, 1)]
    if not known:
        return None

    def patches_of_defects(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        image = read_image(manifest.image_path(sample))
        mask = defect_mask(manifest, sample, proposed)
        return defect_patches(embed, image, mask, settings.patches, size)

    found = []
    for samples, name in zip(origins, ("defects", "synthetic defects"), strict=True):
        if samples:
            stage = f"features of {name}"
            rows = _project(samples, patches_of_defects, channels, settings.seed, progress, stage)
            everything = np.arange(len(rows.image))
            stage = f"coreset of {name}"
            chosen = _choose(rows, everything, settings.defect_rate, settings.seed, progress, stage)
            choices = [chosen, _draw(len(rows.image), SAMPLED_DEFECT_PATCHES, settings.seed)]
            stage = f"vectors of {name}"
            found.append(_collect(samples, patches_of_defects, rows, choices, progress, stage))
    bank, patches = (MemoryBank.join(banks) for banks in zip(*found, strict=True))
    return DefectPatches(bank.restricted(channels), patches)


def defect_mask(manifest: Manifest, sample: Sample, proposed: dict[str, np.ndarray]) -> np.ndarray:
    """bool `[H, W]`: the sample's mask, or the one proposed for it."""
    if sample.image in proposed:
        return proposed[sample.image]
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


def _project(
    samples: Sequence[Sample],
    patches_of: Patches,
    channels: np.ndarray | None,
    seed: int,
    progress: Progress,
    stage: str,
) -> _Rows:
    """First pass: the projected patches of all samples."""
    projected, image, place = [], [], []
    for i, sample in enumerate(samples):
        vectors, _ = patches_of(sample)
        if channels is not None:
            vectors = vectors[:, channels]
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


def _draw(n: int, size: int, seed: int) -> np.ndarray:
    """At most `size` of n row numbers, sorted."""
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))
