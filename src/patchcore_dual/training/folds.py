"""Folds of cross-validation among the training images."""

from collections.abc import Sequence

import numpy as np

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.errors import DataError

FOLDS = (
    20  # each bank lacks a twentieth: held-out scores are hardly higher than those of new images
)
FOLDS_OF_LARGE_SETS = 5  # where every bank more takes minutes


def check_training_set(training_set: Manifest) -> None:
    """Raise DataError unless there are normal images to train on."""
    if not len(training_set):
        raise DataError(f"{training_set.folder}: no image is in the train split. Prepare it again.")
    if not len(training_set.part(label="negative")):
        raise DataError(
            f"{training_set.folder}: the train split has no normal images (label negative). "
            "PatchCoreDual learns what is normal from good parts: add some."
        )


def assign_folds(samples: Sequence[Sample], seed: int, folds: int = FOLDS) -> dict[str, int]:
    """The fold of each training image, by name: groups undivided, shuffled, evenly spread.

    Groups with defects come first, each to the fold with the fewest defective images, then the
    others, each to the fold with the fewest normal ones. Where all normal images are of one group,
    each image counts as a group of its own.

    >>> images = [Sample(f"{i}.png", "", "negative", "train", group=f"lot{i // 2}")
    ...           for i in range(4)]
    >>> fold_of = assign_folds(images, seed=0)
    >>> fold_of["0.png"] == fold_of["1.png"], fold_of["0.png"] == fold_of["2.png"]
    (True, False)

    Raises:
        DataError: with fewer than two normal images.
    """
    normals = [s for s in samples if not s.is_defective]
    if len(normals) < 2:
        raise DataError(
            "one normal training image is too few: a threshold needs images that the bank has not "
            "seen. Give at least 2 (a false-alarm rate of 1 % is promised from 199 on)."
        )
    by_image = len({s.group or s.image for s in normals}) < 2
    members: dict[str, list[Sample]] = {}
    for sample in samples:
        group = sample.image if by_image else sample.group or sample.image
        members.setdefault(group, []).append(sample)
    names = sorted(members)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    defective = {name: sum(s.is_defective for s in members[name]) for name in names}
    n_folds = min(folds, len({s.image if by_image else s.group or s.image for s in normals}))
    load = np.zeros((2, n_folds), dtype=np.int64)  # normal and defective images of each fold
    fold_of = {}
    for name in sorted(shuffled, key=lambda name: defective[name] == 0):
        first = 1 if defective[name] else 0
        # A fold without normal images would leave another one's bank empty: those come first.
        has_normal = (load[0] > 0) & (len(members[name]) > defective[name])
        fold = int(np.lexsort((load[1 - first], load[first], has_normal))[0])
        load[:, fold] += (len(members[name]) - defective[name], defective[name])
        fold_of.update({s.image: fold for s in members[name]})
    return fold_of
