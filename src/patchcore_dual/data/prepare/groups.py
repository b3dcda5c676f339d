"""Groups that the user names: images that belong together, as those of one part or one lot."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from patchcore_dual.data.csv_files import read_csv_file
from patchcore_dual.data.layouts.folder import FOLDER, IMAGES
from patchcore_dual.data.layouts.layout import RawSample, Source, some
from patchcore_dual.data.listing import printable
from patchcore_dual.data.mask_names import name_key
from patchcore_dual.errors import DataError, SettingsError, together

COLUMNS = {"image", "group"}


@dataclass(frozen=True)
class GroupRule:
    """How the user says which images belong together; at most one of the three.

    Attributes:
        file: a CSV file with the columns image,group; images by their paths in the data set.
        pattern: a regular expression. What its capture group matches in the name of a file, or
            what all of it matches if it has none, is the group.
        by_folder: whether the folders below good/ and each kind of defect are groups.

    Raises:
        SettingsError: more than one is given, or the pattern is no regular expression, or has
            several capture groups.
    """

    file: Path | None = None
    pattern: str | None = None
    by_folder: bool = False

    def __post_init__(self) -> None:
        if (self.file is not None) + (self.pattern is not None) + self.by_folder > 1:
            raise SettingsError(
                "Groups come from a file, from a pattern or from folders: give one of --groups, "
                "--group-pattern and --group-by-folder."
            )
        if self.pattern is None:
            return
        try:
            n_captured = re.compile(self.pattern).groups
        except re.error as error:
            raise SettingsError(
                f"--group-pattern is {self.pattern!r}, which is no regular expression ({error})."
            ) from None
        if n_captured > 1:
            raise SettingsError(
                f"--group-pattern is {self.pattern!r}, which has {n_captured} capture groups. Use "
                "one, and (?:…) for others."
            )

    def describe(self) -> dict[str, Any] | None:
        """The rule for `preparation.json`; None where the user gives no groups."""
        if self.file is not None:
            return {"by": "file", "file": self.file.name}
        if self.pattern is not None:
            return {"by": "pattern", "pattern": self.pattern}
        return {"by": "folder"} if self.by_folder else None


def rule_with_split(rule: GroupRule, split_file: Path | None) -> GroupRule:
    """The rule, or the split file as the file of groups if that has the column image too."""
    if rule.describe() is None and split_file and "image" in read_csv_file(split_file).columns:
        return GroupRule(split_file)
    return rule


def stored_rule(prepared: Path, facts: dict[str, Any], asked: GroupRule) -> GroupRule:
    """The rule by which a folder was prepared, to add images to it.

    Args:
        prepared: the folder.
        facts: its `preparation.json`.
        asked: what the user says now; may be left out, unless the groups came from a file.

    Raises:
        SettingsError: the groups came from a file that is not given again, or from elsewhere.
    """
    stored, given = facts.get("groups"), asked.describe()
    if stored is None and given is not None:
        raise SettingsError(
            f"{prepared} was prepared without groups of your own, and its groups stay in an "
            "update. Leave the option out, or prepare another folder."
        )
    if stored is None:
        return asked
    if stored["by"] == "file" and asked.file is None:
        raise SettingsError(
            f"{prepared} has its groups from the file {stored['file']}. Give it again, with a line "
            "for each new image."
        )
    if stored["by"] == "file":
        return asked
    if given is not None and given != stored:
        was = "folders" if stored["by"] == "folder" else f"the pattern {stored['pattern']!r}"
        raise SettingsError(
            f"{prepared} has its groups from {was}, and an update keeps them. Leave the option out."
        )
    return GroupRule(pattern=stored.get("pattern"), by_folder=stored["by"] == "folder")


def with_groups(
    found: Source, folder: Path, layout: str, rule: GroupRule, former: Collection[str] = ()
) -> Source:
    """The data set with the groups that the user names, in place of those of its layout.

    Args:
        found: the data set.
        folder: where it lies.
        layout: its name.
        rule: how groups are named; the data set is returned as it is where there is none.
        former: images that a file of groups may name though the data set does not have them.

    Raises:
        SettingsError: groups by folders are asked of another layout than plain folders.
        DataError: some images have no group, or all the same; the file is wrong, or names images
            that the data set does not have; a group has images on both sides of the data set's
            own split.

    >>> samples = [RawSample(Path("in/good", f"{name}.png"), None, name) for name in
    ...            ("lot1-a", "lot1-b", "lot2-a")]
    >>> rule = GroupRule(pattern=r"lot\\d+")
    >>> [s.group for s in with_groups(Source(samples, False), Path("in"), "folder", rule).samples]
    ['lot1', 'lot1', 'lot2']
    """
    if rule.file is not None:
        groups = _from_file(found.samples, folder, rule.file, former)
    elif rule.pattern is not None:
        pattern = re.compile(rule.pattern)
        groups = _found(
            found.samples,
            lambda sample: _matched(pattern, sample.image.name),
            f"--group-pattern {rule.pattern!r} matches",
            "file names",
        )
    elif rule.by_folder:
        if layout != FOLDER.name:
            raise SettingsError(
                f"--group-by-folder is for plain folders, not for the layout {layout}. Use "
                "--groups or --group-pattern."
            )
        is_split = found.has_official_split
        groups = _found(
            found.samples,
            lambda sample: _folder_below_kind(sample.image.relative_to(folder), is_split),
            "--group-by-folder: a folder below good/ or a kind of defect holds",
            "images",
        )
    else:
        return found
    if len(set(groups)) < 2:
        raise DataError(
            f"All {len(groups)} images are of one group, {groups[0]!r}. Training needs at least "
            "two, and a test more."
        )
    samples = [replace(s, group=g) for s, g in zip(found.samples, groups, strict=True)]
    if found.has_official_split:
        _check_sides(samples)
    return replace(found, samples=samples)


def _from_file(
    samples: Sequence[RawSample], folder: Path, path: Path, former: Collection[str]
) -> list[str]:
    """The group of each image from a CSV file."""
    table = read_csv_file(path)
    if not set(table.columns) >= COLUMNS:
        raise DataError(f"{printable(path)}, line 1: expected the columns image,group.")
    names = [_key(sample.image.relative_to(folder).as_posix()) for sample in samples]
    known, group_of = {*names, *map(_key, former)}, dict[str, str]()
    problems: list[DataError] = []
    for number, values in table.rows:
        row = dict(zip(table.columns, values, strict=True))
        image, group = _key(row["image"]), row["group"].strip()
        where = f"{printable(path)}, line {number}"
        if image not in known:
            problems.append(DataError(f"{where}: the data set has no image {row['image']!r}."))
        elif image in group_of:
            problems.append(DataError(f"{where}: {image} is named a second time."))
        elif not group:
            problems.append(DataError(f"{where}: {image} has an empty group."))
        group_of.setdefault(image, group)
    missing = [printable(name) for name in names if name not in group_of]
    if missing:
        problems.append(
            DataError(
                f"{printable(path)} names no group for {len(missing)} images: {some(missing)}."
            )
        )
    if problems:
        raise together(problems)
    return [group_of[name] for name in names]


def _key(name: str) -> str:
    """An image's path as it is compared: however spreadsheets and systems write it."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return unicodedata.normalize("NFC", path.as_posix())


def _matched(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    return (match[pattern.groups] or "").strip() if match else ""


def _folder_below_kind(path: Path, is_split: bool) -> str:
    """The folders between the kind and the image, "monday/cam1"; empty where there is none."""
    parts = path.parent.parts[is_split:]
    is_in_images = len(parts) > 1 and name_key(parts[0]) in IMAGES
    return "/".join(parts[1 + is_in_images :])


def _found(
    samples: Sequence[RawSample], group_of: Callable[[RawSample], str], what: str, of: str
) -> list[str]:
    groups = [group_of(sample) for sample in samples]
    without = [printable(s.image.name) for s, g in zip(samples, groups, strict=True) if not g]
    if without:
        n_found = len(groups) - len(without)
        number = f"only {n_found}" if n_found else "none"
        raise DataError(
            f"{what} {number} of {len(groups)} {of}, and every image needs a group. "
            f"Without one: {some(without)}."
        )
    return groups


def _check_sides(samples: Sequence[RawSample]) -> None:
    members: defaultdict[str, dict[str | None, RawSample]] = defaultdict(dict)
    for sample in samples:
        members[sample.group].setdefault(sample.split, sample)
    problems = [
        DataError(
            f"The group {group!r} has images on both sides of the data set's own split, such as "
            f"{printable(sides['train'].image)} and {printable(sides['test'].image)}. Keep it on "
            "one side."
        )
        for group, sides in members.items()
        if len(sides) > 1
    ]
    if problems:
        raise together(problems)
