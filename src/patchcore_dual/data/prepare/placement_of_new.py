"""Deciding group and split of images that are added to a prepared folder."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from patchcore_dual.data.duplicates import DuplicateSet
from patchcore_dual.data.listing import natural_key
from patchcore_dual.data.near_duplicates import NearDuplicatePair
from patchcore_dual.data.prepare.placement import (
    Placed,
    SplitSettings,
    join_groups,
    stratum,
    training_copies,
)
from patchcore_dual.data.prepare.scanning import Scan
from patchcore_dual.data.sample import Sample, Split
from patchcore_dual.data.splits import read_split_file, split_by_group
from patchcore_dual.errors import DataError, together


def place_new(
    new: Sequence[Scan],
    rows: Mapping[str, Sample],
    raw_groups: Mapping[str, str],
    copies: Sequence[DuplicateSet],
    near: Sequence[NearDuplicatePair],
    is_official: bool,
    settings: SplitSettings,
) -> tuple[list[Placed], list[str]]:
    """Place new images beside those that a prepared folder has.

    A copy of an image that is there is dropped. An image joins the group that it belongs to or
    resembles; if there are several, the first in natural order, since groups that are there are
    never joined. Its side is that of the data set or split file, else that of the group; new
    groups are split at random, so that the whole comes near to the training fraction.

    Args:
        new: the new images.
        rows: the images that are there, by name.
        raw_groups: their groups, by what the layout calls them.
        copies, near: exact and near duplicates among all images.
        is_official: whether the data set has a split of its own.
        settings: how to split.

    Returns:
        The placed images, and the names of the dropped ones.

    Raises:
        DataError: the split file is wrong, or moves images that are there.
    """
    scans = _with_own_names(new, rows)
    raw_of = {s.name: s.sample.group or s.sample.name for s in scans}
    given = _given_sides(scans, raw_of, rows, raw_groups, is_official, settings)
    dropped = _dropped(copies, rows, given)
    scans = [s for s in scans if s.name not in dropped]
    similar = [c.images for c in copies] + [(p.first, p.second) for p in near]
    links = [(a, b) for images in similar for a in images[:1] for b in images[1:]]
    links = [(a, b) for a, b in links if not {a, b} & dropped]
    joined = join_groups(
        {s.name: raw_of[s.name] for s in scans},
        [(a, b) for a, b in links if a in raw_of and b in raw_of and given.get(a) == given.get(b)],
    )
    homes: defaultdict[str, set[tuple[str, Split]]] = defaultdict(set)
    sides_of: defaultdict[str, set[Split]] = defaultdict(set)
    for row in rows.values():
        sides_of[row.group].add(row.split)
    for s in scans:
        home = raw_groups.get(raw_of[s.name], raw_of[s.name])
        homes[joined[s.name]] |= {(home, side) for side in sides_of.get(home, ())}
    for one, other in [*links, *((b, a) for a, b in links)]:
        if one in joined and other in rows:
            homes[joined[one]].add((rows[other].group, rows[other].split))
    placed_in: dict[str, tuple[str, Split | None]] = {}
    for s in scans:
        side = given.get(s.name)
        found = sorted(
            (h for h in homes[joined[s.name]] if side in (None, h[1])),
            key=lambda home: (natural_key(home[0]), home[1]),
        )
        placed_in[s.name] = found[0] if found else (joined[s.name], side)
    random = _random_sides(scans, placed_in, rows, settings)
    return [
        Placed(s, side or random[group], group)
        for s in scans
        for group, side in (placed_in[s.name],)
    ], sorted(dropped, key=natural_key)


def _with_own_names(new: Sequence[Scan], rows: Mapping[str, Sample]) -> list[Scan]:
    """The scans with names that no image or group of the folder has."""
    stems = {PurePosixPath(row.image).stem for row in rows.values()}
    taken = {name.casefold() for name in stems | {row.group for row in rows.values()}}
    scans = []
    for scan in new:
        name, count = scan.sample.name, 1
        while name.casefold() in taken:
            count += 1
            name = f"{scan.sample.name}-{count}"
        taken.add(name.casefold())
        scans.append(replace(scan, sample=replace(scan.sample, name=name)))
    return scans


def _given_sides(
    scans: Sequence[Scan],
    raw_of: Mapping[str, str],
    rows: Mapping[str, Sample],
    raw_groups: Mapping[str, str],
    is_official: bool,
    settings: SplitSettings,
) -> dict[str, Split]:
    """The sides that the data set or the split file gives, by name."""
    if not settings.file:
        return {s.name: s.sample.split for s in scans if s.sample.split} if is_official else {}
    groups = {*raw_of.values(), *raw_groups}
    side_of = read_split_file(settings.file, groups)
    problems = [
        DataError(
            f"{settings.file} has {raw} in {side_of[raw]}, but the folder has {row.image} of this "
            f"group in {row.split}. Splits stay in an update: correct the file."
        )
        for raw, group in raw_groups.items()
        for row in [next(r for r in rows.values() if r.group == group)]
        if side_of[raw] != row.split
    ]
    if problems:
        raise together(problems)
    return {name: side_of[raw] for name, raw in raw_of.items()}


def _dropped(
    copies: Sequence[DuplicateSet], rows: Mapping[str, Sample], given: Mapping[str, Split]
) -> set[str]:
    """New images that are copies of one that is there, or of another new one."""
    dropped: set[str] = set()
    among_new = []
    for one in copies:
        if any(name in rows for name in one.images):
            dropped |= {name for name in one.images if name not in rows}
        else:
            among_new.append(one)
    if given:
        return dropped | training_copies(among_new, given)
    return dropped | {name for one in among_new for name in one.images[1:]}


def _random_sides(
    scans: Sequence[Scan],
    placed_in: Mapping[str, tuple[str, Split | None]],
    rows: Mapping[str, Sample],
    settings: SplitSettings,
) -> dict[str, Split]:
    """The sides of all groups, where those of new groups are drawn."""
    if all(side for _, side in placed_in.values()):
        return {}
    groups = [r.group for r in rows.values()] + [placed_in[s.name][0] for s in scans]
    strata = [stratum(r.label, r.kind) for r in rows.values()]
    strata += [stratum(s.label, s.sample.kind) for s in scans]
    fixed = {r.group: r.split for r in rows.values()}
    return split_by_group(groups, strata, settings.train_fraction, settings.seed, fixed)
