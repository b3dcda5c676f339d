"""What a layout reader returns: a data set's files as they lie on disk, before preparation."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from patchcore_dual.data.manifest import MANIFEST_NAME, Label, Split
from patchcore_dual.data.reading import natural_key


@dataclass(frozen=True)
class RawSample:
    """One image of a data set as its layout describes it.

    `label` None: the mask decides. `mask` None: the image is good, or where its defect lies is
    unknown. `split` None: the data set has no split of its own. An empty `group` means that the
    image is a group of its own. `name` is unique in the source and safe as a file name.
    """

    image: Path
    mask: Path | None
    name: str
    label: Label | None = None
    split: Split | None = None
    kind: str = ""
    group: str = ""


@dataclass(frozen=True)
class Source:
    """All samples of a data set, in a fixed order, and what its owner should know about it."""

    samples: list[RawSample]
    has_official_split: bool
    notes: list[str] = field(default_factory=list)


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder` that may hold data: neither hidden nor a prepared data set."""
    if not folder.is_dir():
        return []
    found = (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    return sorted((p for p in found if not (p / MANIFEST_NAME).exists()), key=natural_key)


def safe_names(relative_paths: Iterable[Path]) -> list[str]:
    """A file name without suffix for each path: unique even where case does not count.

    kos01/Part0.jpg becomes kos01-Part0.
    """
    taken: set[str] = set()
    names = []
    for path in relative_paths:
        text = unicodedata.normalize("NFC", "-".join(path.with_suffix("").parts))
        wish = re.sub(r"[^\w.-]+", "_", text)[-100:].lstrip(".-") or "image"
        name, count = wish, 1
        while name.casefold() in taken:
            count += 1
            name = f"{wish}-{count}"
        taken.add(name.casefold())
        names.append(name)
    return names


def some(names: Iterable[object], limit: int = 5) -> str:
    """`a, b, c and 4 more`, for messages."""
    listed = [str(n) for n in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
