"""Splitting a data set into train and test, group by group (a commutator, a tile)."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from patchcore_dual.data.csv_files import read_csv_file
from patchcore_dual.data.sample import Split
from patchcore_dual.errors import DataError, SettingsError, together

NORMAL = ""  # the kind of a normal image


def split_by_group(
    groups: Sequence[str],
    kinds: Sequence[str],
    train_fraction: float = 0.5,
    seed: int = 0,
    fixed: Mapping[str, Split] | None = None,
) -> dict[str, Split]:
    """Split groups at random into train and test, stratified by kind of defect.

    The stratum of a group is its rarest kind of defect, or normal. The number of training groups
    is rounded in each stratum, and the rounding error is carried over to the next one; a stratum
    of two or more groups is represented in both splits.

    Args:
        groups: group of each image.
        kinds: kind of defect of each image, `NORMAL` for normal images.
        train_fraction: fraction of the groups to train on, above 0; 1 puts all into training.
        seed: of the random choice.
        fixed: the split of groups that have one; the others bring each stratum as near to the
            fraction as they can.

    Returns:
        The split of each group.

    Raises:
        SettingsError: `train_fraction` is not above 0 and at most 1.

    >>> groups = ["kos01", "kos01", "kos02", "kos03", "kos04"]
    >>> kinds = ["crack", NORMAL, "crack", NORMAL, NORMAL]
    >>> split = split_by_group(groups, kinds, seed=1)
    >>> sorted(split), sorted(split.values())
    (['kos01', 'kos02', 'kos03', 'kos04'], ['test', 'test', 'train', 'train'])
    >>> split["kos01"] == split["kos02"]  # one of the two groups with cracks in each split
    False
    """
    if not 0 < train_fraction <= 1:
        raise SettingsError(
            f"The train fraction is {train_fraction}; it has to be above 0 and at most 1."
        )
    if train_fraction == 1:
        return {**dict.fromkeys(groups, "train"), **(fixed or {})}
    generator = np.random.default_rng(seed)
    sides: dict[str, Split] = {**(fixed or {})}
    carried = 0.0
    for members in _strata(groups, kinds):
        wanted = len(members) * train_fraction + carried
        n_train = _rounded(wanted, len(members))
        carried = wanted - n_train
        n_train -= sum(sides.get(group) == "train" for group in members)
        members = [group for group in members if group not in sides]
        for position, index in enumerate(generator.permutation(len(members))):
            sides[members[index]] = "train" if position < n_train else "test"
    return sides


def _strata(groups: Sequence[str], kinds: Sequence[str]) -> list[list[str]]:
    """The groups of each stratum, the rarest kind first and normal last, in a fixed order."""
    frequency = Counter(kinds)
    frequency[NORMAL] = len(kinds) + 1
    order = sorted(frequency, key=lambda kind: (frequency[kind], kind))
    rank = {kind: position for position, kind in enumerate(order)}
    stratum_of: dict[str, int] = {}
    for group, kind in zip(groups, kinds, strict=True):
        stratum_of[group] = min(rank[kind], stratum_of.get(group, len(rank)))
    strata = [sorted(g for g, s in stratum_of.items() if s == r) for r in rank.values()]
    return [members for members in strata if members]


def _rounded(wanted: float, n_groups: int) -> int:
    lowest, highest = (1, n_groups - 1) if n_groups > 1 else (0, 1)
    return min(max(math.floor(wanted + 0.5), lowest), highest)


def read_split_file(path: Path, groups: Collection[str]) -> dict[str, Split]:
    """Read a split from a CSV file with the columns group,split.

    With a column image besides, it has a line for each image, and groups may be repeated.

    Args:
        path: the file.
        groups: all groups of the data set.

    Returns:
        The split of each group.

    Raises:
        DataError: the file has other columns, a split other than train or test, or a group that
            is unknown, repeated or on both sides, or it lacks a group; with file and line.
    """
    sides: dict[str, Split] = {}
    table = read_csv_file(path)
    by_image = "image" in table.columns
    if set(table.columns) - {"image"} != {"group", "split"}:
        raise DataError(f"{path}, line 1: expected the columns group,split.")
    problems: list[DataError] = []
    for number, values in table.rows:
        row = dict(zip(table.columns, values, strict=True))
        try:
            _add_row(sides, row, groups, f"{path}, line {number}", by_image)
        except DataError as error:
            problems.append(error)
    if problems:
        raise together(problems)
    if missing := sorted(set(groups) - set(sides)):
        named = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise DataError(f"{path} does not say where {len(missing)} groups belong: {named}")
    return sides


def _add_row(
    sides: dict[str, Split],
    row: dict[str, str],
    groups: Collection[str],
    where: str,
    by_image: bool,
) -> None:
    group, split = row["group"].strip(), row["split"].strip()
    if group not in groups:
        raise DataError(f"{where}: the data set has no group {group!r}.")
    if group in sides and not by_image:
        raise DataError(f"{where}: the group {group!r} is named a second time.")
    if split in ("train", "test") and sides.get(group, split) != split:
        raise DataError(
            f"{where}: the group {group!r} is in {split} here, and in {sides[group]} above."
        )
    if split == "train":
        sides[group] = "train"
    elif split == "test":
        sides[group] = "test"
    else:
        raise DataError(f"{where}: the split is {split!r}; use train or test.")
