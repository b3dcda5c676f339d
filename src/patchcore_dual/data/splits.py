"""Splitting a data set into train and test, group by group (a commutator, a tile)."""

import csv
import math
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from patchcore_dual.data.manifest import Split
from patchcore_dual.errors import DataError, SettingsError

GOOD = ""


def split_by_group(
    groups: Sequence[str], kinds: Sequence[str], train_fraction: float = 0.5, seed: int = 0
) -> dict[str, Split]:
    """Put each group on one side, shuffled by the seed, stratified by kind of defect.

    `groups[i]` and `kinds[i]` belong to image i; the kind of a good image is `GOOD`, that of a
    defective one any other text. A group's stratum is its rarest kind of defect, or good. Each
    stratum gives its share of groups to the training side, what rounding takes from one being
    given to the next; a stratum of two or more groups is found on both sides.

    A fraction of 1 puts all on the training side. Returns the side of each group. Raises
    SettingsError for a fraction that is not above 0 and at most 1.
    """
    if not 0 < train_fraction <= 1:
        raise SettingsError(
            f"The train fraction is {train_fraction}; it has to be above 0 and at most 1."
        )
    if train_fraction == 1:
        return dict.fromkeys(groups, "train")
    generator = np.random.default_rng(seed)
    sides: dict[str, Split] = {}
    carried = 0.0
    for members in _strata(groups, kinds):
        wanted = len(members) * train_fraction + carried
        n_train = _whole_share(wanted, len(members))
        carried = wanted - n_train
        for place, index in enumerate(generator.permutation(len(members))):
            sides[members[index]] = "train" if place < n_train else "test"
    return sides


def _strata(groups: Sequence[str], kinds: Sequence[str]) -> list[list[str]]:
    """The groups of each stratum, rarest kind first, good last; all in a fixed order."""
    frequency = Counter(kinds)
    frequency[GOOD] = len(kinds) + 1
    order = sorted(frequency, key=lambda kind: (frequency[kind], kind))
    rank = {kind: place for place, kind in enumerate(order)}
    stratum_of: dict[str, int] = {}
    for group, kind in zip(groups, kinds, strict=True):
        stratum_of[group] = min(rank[kind], stratum_of.get(group, len(rank)))
    strata = [sorted(g for g, s in stratum_of.items() if s == place) for place in rank.values()]
    return [members for members in strata if members]


def _whole_share(wanted: float, n_groups: int) -> int:
    lowest, highest = (1, n_groups - 1) if n_groups > 1 else (0, 1)
    return min(max(math.floor(wanted + 0.5), lowest), highest)


def read_split_file(path: Path, groups: Collection[str]) -> dict[str, Split]:
    """Read a split from a CSV file with the columns group,split.

    `groups` are all groups of the data set. Raises DataError, with the line where there is one,
    for other columns, a value other than train or test, a group that is unknown or named twice,
    and groups that the file does not name.
    """
    sides: dict[str, Split] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if set(reader.fieldnames or ()) != {"group", "split"}:
                raise DataError(f"{path}, line 1: expected the columns group,split.")
            for row in reader:
                _add_row(sides, row, groups, f"{path}, line {reader.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a split file ({error}).") from None
    if missing := sorted(set(groups) - set(sides)):
        named = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise DataError(f"{path} does not say where {len(missing)} groups belong: {named}")
    return sides


def _add_row(
    sides: dict[str, Split], row: dict[str, str | None], groups: Collection[str], where: str
) -> None:
    group, split = (row["group"] or "").strip(), (row["split"] or "").strip()
    if group not in groups:
        raise DataError(f"{where}: the data set has no group {group!r}.")
    if group in sides:
        raise DataError(f"{where}: the group {group!r} is named a second time.")
    if split == "train":
        sides[group] = "train"
    elif split == "test":
        sides[group] = "test"
    else:
        raise DataError(f"{where}: the split is {split!r}; use train or test.")
