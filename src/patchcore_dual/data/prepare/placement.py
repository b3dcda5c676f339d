"""Which images enter a prepared data set, in which group, and on which side of the split."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from patchcore_dual.data.duplicates import CopySet, NearPair
from patchcore_dual.data.manifest import Split
from patchcore_dual.data.prepare.scanning import Scan
from patchcore_dual.data.reading import natural_key
from patchcore_dual.data.splits import GOOD, read_split_file, split_by_group
from patchcore_dual.errors import SettingsError


@dataclass(frozen=True)
class SplitSettings:
    """How the sides are decided: see `place`."""

    train_fraction: float = 0.5
    seed: int = 0
    file: Path | None = None
    train_defects: int = 0


@dataclass(frozen=True)
class Placed:
    """A scanned image that enters the prepared data set."""

    scan: Scan
    split: Split
    group: str


def place(
    scans: Sequence[Scan],
    copies: Sequence[CopySet],
    near: Sequence[NearPair],
    is_official: bool,
    settings: SplitSettings,
) -> tuple[list[Placed], list[str]]:
    """Drop exact copies and decide group and side of every other image.

    A split that is given (by the data set or by a file) stands: copies are dropped from its
    training side only, and images that are alike share a group only where they share a side;
    the audit reports the others. Where the split is made here, the first of each set of copies
    is kept, and groups that share copies or near duplicates are joined before splitting.

    Returns the placed images and the names of the dropped ones.
    """
    groups = {s.name: s.sample.group or s.sample.name for s in scans}
    alike = [c.images for c in copies] + [(p.first, p.second) for p in near]
    if settings.train_defects and (settings.file or not is_official):
        raise SettingsError("--train-defects is for data sets with a split of their own.")
    if is_official or settings.file:
        sides = _given_sides(scans, groups, settings)
        dropped = _training_copies(copies, sides)
        groups = join_groups(groups, [s for images in alike for s in _by_side(images, sides)])
    else:
        dropped = {image for c in copies for image in c.images[1:]}
        groups = join_groups(groups, alike)
        sides = _sides_by_seed([s for s in scans if s.name not in dropped], groups, settings)
    placed = [Placed(s, sides[s.name], groups[s.name]) for s in scans if s.name not in dropped]
    return placed, [s.name for s in scans if s.name in dropped]


def join_groups(groups: Mapping[str, str], alike: Iterable[Sequence[str]]) -> dict[str, str]:
    """Give images that are alike, and all others of their groups, one group.

    `groups` maps image to group; a joined group has the first of its groups' names.
    """
    parent = {group: group for group in groups.values()}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for images in alike:
        first, *others = sorted({root(groups[i]) for i in images}, key=natural_key)
        parent.update(dict.fromkeys(others, first))
    return {image: root(group) for image, group in groups.items()}


def _given_sides(
    scans: Sequence[Scan], groups: Mapping[str, str], settings: SplitSettings
) -> dict[str, Split]:
    if settings.file:
        side_of_group = read_split_file(settings.file, set(groups.values()))
        return {image: side_of_group[group] for image, group in groups.items()}
    sides: dict[str, Split] = {s.name: s.sample.split for s in scans if s.sample.split}
    return sides | _defects_to_train(scans, sides, settings) if settings.train_defects else sides


def _sides_by_seed(
    scans: Sequence[Scan], groups: Mapping[str, str], settings: SplitSettings
) -> dict[str, Split]:
    own_groups = [groups[s.name] for s in scans]
    strata = [_stratum(s) for s in scans]
    sides = split_by_group(own_groups, strata, settings.train_fraction, settings.seed)
    return {s.name: sides[groups[s.name]] for s in scans}


def _stratum(scan: Scan) -> str:
    return GOOD if scan.label == "negative" else scan.sample.kind or "defect"


def _defects_to_train(
    scans: Sequence[Scan], sides: Mapping[str, Split], settings: SplitSettings
) -> dict[str, Split]:
    """Which defective test images move to the training side, each kind giving its share."""
    by_kind: defaultdict[str, list[str]] = defaultdict(list)
    for s in scans:
        if s.label == "positive" and sides[s.name] == "train":
            raise SettingsError(
                "--train-defects is for data sets whose training part has no defective images; "
                f"{s.name} is one."
            )
        if s.label == "positive":
            by_kind[s.sample.kind].append(s.name)
    n_defects = sum(map(len, by_kind.values()))
    if not 0 < settings.train_defects < n_defects:
        raise SettingsError(
            f"--train-defects is {settings.train_defects}; the test part has {n_defects} "
            "defective images, of which at least one has to stay."
        )
    generator = np.random.default_rng(settings.seed)
    moved: dict[str, Split] = {}
    n_seen = 0
    for kind in sorted(by_kind):
        n_seen += len(by_kind[kind])
        # Rounding the running total gives exactly the number asked for.
        quota = (2 * n_seen * settings.train_defects + n_defects) // (2 * n_defects) - len(moved)
        chosen = generator.permutation(len(by_kind[kind]))[:quota]
        moved.update({by_kind[kind][i]: "train" for i in chosen})
    return moved


def _training_copies(copies: Sequence[CopySet], sides: Mapping[str, Split]) -> set[str]:
    """Of each set: all training images where a test image is the same, else all but the first."""
    dropped: set[str] = set()
    for copy_set in copies:
        train = [i for i in copy_set.images if sides[i] == "train"]
        dropped.update(train if len(train) < len(copy_set.images) else train[1:])
    return dropped


def _by_side(images: Sequence[str], sides: Mapping[str, Split]) -> list[list[str]]:
    parts = [[i for i in images if sides[i] == side] for side in ("train", "test")]
    return [part for part in parts if part]
