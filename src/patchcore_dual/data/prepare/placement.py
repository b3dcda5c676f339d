"""Choosing the images of a prepared data set, their groups and their split."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from patchcore_dual.data.duplicates import DuplicateSet
from patchcore_dual.data.listing import natural_key
from patchcore_dual.data.near_duplicates import NearDuplicatePair
from patchcore_dual.data.prepare.scanning import Scan
from patchcore_dual.data.sample import Label, Split
from patchcore_dual.data.splits import NORMAL, read_split_file, split_by_group
from patchcore_dual.errors import DataError, SettingsError


@dataclass(frozen=True)
class SplitSettings:
    """How train and test are decided.

    Attributes:
        train_fraction: fraction of the groups to train on, for a data set without a split.
        seed: of the random split, or of the random choice of `train_defects`.
        file: a CSV file with the columns group,split; its split replaces any other.
        train_defects: number of defective images to move from test to train, for a data set
            whose own split has none in train.
    """

    train_fraction: float = 0.5
    seed: int = 0
    file: Path | None = None
    train_defects: int = 0


@dataclass(frozen=True)
class Placed:
    """A scanned image of the prepared data set, with its split and group."""

    scan: Scan
    split: Split
    group: str


def place(
    scans: Sequence[Scan],
    copies: Sequence[DuplicateSet],
    near: Sequence[NearDuplicatePair],
    is_official: bool,
    settings: SplitSettings,
) -> tuple[list[Placed], list[str]]:
    """Drop exact copies, and decide group and split of every other image.

    A given split (that of the data set, or of a file) is not changed: copies are dropped from its
    training side only, and similar images share a group only if they are in the same split; the
    audit reports the others. Otherwise the first image of each set of copies is kept, and groups
    that have copies or near duplicates in common are joined before splitting.

    Args:
        scans: all images of the data set.
        copies, near: exact and near duplicates among them.
        is_official: whether the data set has a split of its own.
        settings: how to split.

    Returns:
        The placed images, and the names of the dropped ones.

    Raises:
        SettingsError: the settings do not fit the data set.
        DataError: the split file is wrong.
    """
    groups = {s.name: s.sample.group or s.sample.name for s in scans}
    similar = [c.images for c in copies] + [(p.first, p.second) for p in near]
    if settings.train_defects and (settings.file or not is_official):
        raise SettingsError("--train-defects is for data sets with a split of their own.")
    if is_official or settings.file:
        sides = _given_sides(scans, groups, settings)
        dropped = training_copies(copies, sides)
        groups = join_groups(groups, [s for images in similar for s in _by_side(images, sides)])
    else:
        dropped = {image for c in copies for image in c.images[1:]}
        groups = join_groups(groups, similar)
        sides = _sides_by_seed([s for s in scans if s.name not in dropped], groups, settings)
    placed = [Placed(s, sides[s.name], groups[s.name]) for s in scans if s.name not in dropped]
    return placed, [s.name for s in scans if s.name in dropped]


def settle_copies(
    scans: Sequence[Scan], copies: Sequence[DuplicateSet]
) -> tuple[list[DuplicateSet], list[str]]:
    """The sets of copies, those with a known mask first, so that `place` keeps these; and notes."""
    by_name = {s.name: s for s in scans}
    settled, notes = [], []
    for one in copies:
        members = [by_name[name] for name in one.images]
        is_own = _are_own(members)
        ordered = sorted(members, key=lambda m: not m.defect_area) if is_own else members
        settled.append(replace(one, images=tuple(m.name for m in ordered)))
        if len({m.sample.kind for m in members}) > 1 and is_own:
            has_mask = ", which has a mask" if ordered[0].defect_area else ""
            others = ", ".join(m.name for m in ordered[1:])
            notes.append(
                f"{others}: the same picture as {ordered[0].name}{has_mask}; its kind counts."
            )
    return settled, notes


def contradictions(scans: Sequence[Scan], copies: Sequence[DuplicateSet]) -> list[DataError]:
    """An error for each picture of a user's own data set that is normal and defective."""
    by_name = {s.name: s for s in scans}
    errors = []
    for one in copies:
        members = [by_name[name] for name in one.images]
        if one.labels_differ and _are_own(members):
            normal = next(m.name for m in members if m.label == "negative")
            defective = next(m.name for m in members if m.label == "positive")
            errors.append(
                DataError(
                    f"{normal} and {defective} are the same picture, once among the normal images "
                    "and once among the defective ones. Remove the wrong one."
                )
            )
    return errors


def _are_own(members: Sequence[Scan]) -> bool:
    """Whether images are a user's own, and not those of a published data set."""
    return not any(m.sample.mask_rule.is_published for m in members)


def join_groups(groups: Mapping[str, str], similar: Iterable[Sequence[str]]) -> dict[str, str]:
    """Join the groups of images that are similar.

    Args:
        groups: group of each image, by name.
        similar: sets of images that have to share a group.

    Returns:
        The new group of each image; a joined group has the first name of its groups, in natural
        order.

    >>> join_groups({"a": "G1", "b": "G1", "c": "G2", "d": "G3"}, [("b", "c")])
    {'a': 'G1', 'b': 'G1', 'c': 'G1', 'd': 'G3'}
    """
    parent = {group: group for group in groups.values()}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for images in similar:
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
    strata = [stratum(s.label, s.sample.kind) for s in scans]
    sides = split_by_group(own_groups, strata, settings.train_fraction, settings.seed)
    return {s.name: sides[groups[s.name]] for s in scans}


def stratum(label: Label, kind: str) -> str:
    """What an image counts as when groups are split evenly: its kind of defect, or normal."""
    return NORMAL if label == "negative" else kind or "defect"


def _defects_to_train(
    scans: Sequence[Scan], sides: Mapping[str, Split], settings: SplitSettings
) -> dict[str, Split]:
    """The defective test images to move to train, in equal proportions of each kind."""
    by_kind: defaultdict[str, list[str]] = defaultdict(list)
    for s in scans:
        if s.label == "positive" and sides[s.name] == "train":
            raise SettingsError(
                "--train-defects is for data sets whose training side has no defective images; "
                f"{s.name} is one."
            )
        if s.label == "positive":
            by_kind[s.sample.kind].append(s.name)
    n_defects = sum(map(len, by_kind.values()))
    if not 0 < settings.train_defects < n_defects:
        raise SettingsError(
            f"--train-defects is {settings.train_defects}; the test side has {n_defects} "
            "defective images, of which at least one has to stay."
        )
    generator = np.random.default_rng(settings.seed)
    moved: dict[str, Split] = {}
    n_so_far = 0
    for kind in sorted(by_kind):
        n_so_far += len(by_kind[kind])
        # Quotas are differences of a rounded running total, so that they add up exactly.
        quota = (2 * n_so_far * settings.train_defects + n_defects) // (2 * n_defects) - len(moved)
        chosen = generator.permutation(len(by_kind[kind]))[:quota]
        moved.update({by_kind[kind][i]: "train" for i in chosen})
    return moved


def training_copies(copies: Sequence[DuplicateSet], sides: Mapping[str, Split]) -> set[str]:
    """The copies to drop from the training side.

    If a set of identical images includes a test image, all its training images are dropped;
    otherwise all but the first.
    """
    dropped: set[str] = set()
    for duplicates in copies:
        train = [i for i in duplicates.images if sides[i] == "train"]
        dropped.update(train if len(train) < len(duplicates.images) else train[1:])
    return dropped


def _by_side(images: Sequence[str], sides: Mapping[str, Split]) -> list[list[str]]:
    by_side = [[i for i in images if sides[i] == side] for side in ("train", "test")]
    return [images for images in by_side if images]
