"""`Layout`: the arrangement of a published data set on disk, and the samples read from it."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from patchcore_dual.data.listing import OUTPUT_MARKER, is_passed_over, natural_key, printable
from patchcore_dual.data.manifest import MANIFEST_NAME
from patchcore_dual.data.mask_rule import PUBLISHED, MaskRule
from patchcore_dual.data.sample import Label, Split
from patchcore_dual.errors import DataError


@dataclass(frozen=True)
class RawSample:
    """One image of a data set as its layout describes it, before preparation.

    Attributes:
        image: the image file.
        mask: its mask file; None: the part is normal, or the position of its defect is unknown.
        more_masks: further mask files of the image, where each marks some of its defects.
        mask_rule: how its masks are read; `read_source` puts the user's answers into it.
        name: a name that is unique in the data set and safe as a file name.
        label: None where the mask decides.
        split: None where the data set has no split of its own.
        kind: kind of defect, where the layout names it.
        group: what the image shows (a part, a lot); images of one group stay on one side of a
            split. Empty where every image is a group of its own.
    """

    image: Path
    mask: Path | None
    name: str
    label: Label | None = None
    split: Split | None = None
    kind: str = ""
    group: str = ""
    more_masks: tuple[Path, ...] = ()
    mask_rule: MaskRule = PUBLISHED

    @property
    def masks(self) -> tuple[Path, ...]:
        """All mask files of the image."""
        return (self.mask, *self.more_masks) if self.mask else ()


@dataclass(frozen=True)
class Source:
    """All samples of a data set, in a fixed order.

    Attributes:
        samples: the images.
        has_official_split: whether the data set comes with a split of its own.
        notes: remarks for the user, a sentence each.
    """

    samples: list[RawSample]
    has_official_split: bool
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """A layout of data sets that `prepare` can read: one file each, listed in `LAYOUTS`.

    Attributes:
        name: its name on the command line.
        files: the files it consists of, for messages ("folders train/ and test/ holding ...").
        matches: whether a folder shows the signs of this layout, from the names of its files.
        read: the data set in a folder. It raises `WrongLayoutError` for a folder that is not in
            this layout, and DataError for one that is but cannot be used.
    """

    name: str
    files: str
    matches: Callable[[Path], bool]
    read: Callable[[Path], Source]


class WrongLayoutError(DataError):
    """A folder that is not in the layout it was read as.

    It needs a message only for a more precise reason than that the expected files are missing.
    """


def contains(folder: Path, pattern: str) -> bool:
    """Whether a file or folder below `folder` matches a glob pattern."""
    return next(folder.glob(pattern), None) is not None


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder` that may hold data.

    Hidden folders, those of programs, prepared data sets and pictures that `inspect` wrote are not
    among them.

    Raises:
        DataError: the folder may not be read.
    """
    if not folder.is_dir():
        return []
    try:
        found = [p for p in folder.iterdir() if not is_passed_over(p.name) and p.is_dir()]
    except OSError as error:
        raise DataError(f"{printable(folder)} cannot be read: {error.strerror}.") from None
    markers = (MANIFEST_NAME, OUTPUT_MARKER)
    return sorted(
        (p for p in found if not any(os.path.exists(p / m) for m in markers)), key=natural_key
    )


def safe_names(relative_paths: Iterable[Path]) -> list[str]:
    """A file name without suffix for each path, unique even if case is ignored.

    >>> safe_names([Path("kos01/Part0.jpg"), Path("KOS01/part0.png")])
    ['kos01-Part0', 'KOS01-part0-2']
    """
    taken: set[str] = set()
    names = []
    for path in relative_paths:
        text = unicodedata.normalize("NFC", "-".join(path.with_suffix("").parts))
        wanted = re.sub(r"[^\w.-]+", "_", text)[-100:].lstrip(".-") or "image"
        name, count = wanted, 1
        while name.casefold() in taken:
            count += 1
            name = f"{wanted}-{count}"
        taken.add(name.casefold())
        names.append(name)
    return names


def some(names: Iterable[object], limit: int = 5) -> str:
    """The first names, for messages: "a, b, c and 4 more"."""
    listed = [str(n) for n in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
