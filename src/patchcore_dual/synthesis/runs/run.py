"""A set of synthetic images on disk, finished image by image and resumed where it was cut off.

`plan.json` holds everything that the images depend on. An image and its mask are written first,
each in one step; then a line of `journal.jsonl` says that the pair is complete. A run that was
killed leaves at most one pair that no line names, and half a line: the next one clears both.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.data.reading import write_png
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.utils.files import write_atomically

PLAN_NAME = "plan.json"
JOURNAL_NAME = "journal.jsonl"

_PICTURE = re.compile(r"(\d{4,})(_mask)?\.png")
# As `_write` and `write_atomically` call a file before it is in place.
_HALF_WRITTEN = re.compile(r"\.(\d{4,}(_mask)?\.png|\w+\.(json|jsonl|html|png)\.\w+)")


def run_folder(prepared: Path, name: str) -> Path:
    """Where a set of that name is; SettingsError for a name that is not one folder's."""
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise SettingsError(
            f"--name is {name!r}; use letters, digits, and . + - _ after the first."
        )
    return prepared / "synthetic" / name


@dataclass(frozen=True)
class Entry:
    """What the journal says of one finished image, the `index`-th from 0."""

    index: int
    kind: str
    group: str
    origin: str
    provenance: dict[str, Any]


class Run:
    """The folder of one set.

    Attributes:
        folder: where.
        finished: the images that are complete, by index.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], overwrite: bool = False) -> None:
        """Begin a set, or go on with one.

        Args:
            plan: everything that the images depend on, as JSON has it.
            overwrite: remove what is there.

        Raises DataError where the folder holds something else, or a set of another plan.
        """
        self.folder = folder
        self._plan = json.loads(json.dumps(plan))
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._claim(overwrite)
            self.finished = self._read_journal()
            self._clear()
            write_atomically(folder / JOURNAL_NAME, b"".join(map(_line, self.finished.values())))

    def image_path(self, index: int) -> Path:
        return self.folder / f"{index + 1:04d}.png"

    def mask_path(self, index: int) -> Path:
        return self.folder / f"{index + 1:04d}_mask.png"

    def add(self, entry: Entry, image: np.ndarray, mask: np.ndarray) -> None:
        """Write a finished image, uint8 `[H, W, 3]`, and its mask, bool `[H, W]`."""
        with _explained(self.folder):
            _write(self.image_path(entry.index), image)
            _write(self.mask_path(entry.index), mask)
            with (self.folder / JOURNAL_NAME).open("ab") as journal:
                journal.write(_line(entry))
                journal.flush()
                os.fsync(journal.fileno())
        self.finished[entry.index] = entry

    def is_complete(self, index: int) -> bool:
        """Whether the journal names an image and its two files are there."""
        return (
            index in self.finished
            and self.image_path(index).is_file()
            and self.mask_path(index).is_file()
        )

    def _claim(self, overwrite: bool) -> None:
        """Make sure that the folder is this plan's."""
        path = self.folder / PLAN_NAME
        if not path.is_file():
            # Hidden files are what a process killed while it wrote its plan left.
            if any(not p.name.startswith(".") for p in self.folder.iterdir()):
                raise DataError(
                    f"{self.folder} is not empty and holds no synthetic images, so it is left "
                    "alone. Give another --name."
                )
        elif overwrite:
            for old in self.folder.iterdir():
                if old.is_file() and old != path:  # the plan last: it says whose folder this is
                    old.unlink()
        else:
            self._compare(path)
            return
        text = json.dumps(self._plan, indent=1, sort_keys=True) + "\n"
        write_atomically(path, text.encode())

    def _compare(self, path: Path) -> None:
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise DataError(
                f"{path} is damaged. Make the set again with --overwrite, or give another --name."
            ) from None
        if different := list(_differences(before, self._plan)):
            raise DataError(
                f"{self.folder} holds images made otherwise: {'; '.join(different)}. "
                "Give the new ones another --name, or replace the old ones with --overwrite."
            )

    def _read_journal(self) -> dict[int, Entry]:
        path = self.folder / JOURNAL_NAME
        if not path.is_file():
            return {}
        *lines, _cut_off = path.read_bytes().split(b"\n")
        found = {}
        for number, line in enumerate(lines, start=1):
            try:
                entry = Entry(**json.loads(line))
            except (ValueError, TypeError):
                raise DataError(
                    f"{path}, line {number}: damaged. Make the set again with --overwrite."
                ) from None
            if self.image_path(entry.index).is_file() and self.mask_path(entry.index).is_file():
                found[entry.index] = entry
        return found

    def _clear(self) -> None:
        """Remove pictures that the journal does not name, and what a kill left half written."""
        for path in self.folder.iterdir():
            picture = _PICTURE.fullmatch(path.name)
            unnamed = picture and int(picture[1]) - 1 not in self.finished
            if unnamed or _HALF_WRITTEN.fullmatch(path.name):
                path.unlink()


def _write(path: Path, array: np.ndarray) -> None:
    """Write a PNG beside `path`, flush it to disk, then put it in place in one step."""
    beside = path.with_name(f".{path.name}")
    write_png(beside, array)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)


def _line(entry: Entry) -> bytes:
    return json.dumps(asdict(entry), sort_keys=True).encode() + b"\n"


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Where two plans differ, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            inner = f"{name}.{key}" if name else key
            yield from _differences(before.get(key), now.get(key), inner)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for place, (old, new) in enumerate(zip(before, now, strict=True), start=1):
            yield from _differences(old, new, f"{name} {place}" if len(now) > 1 else name)
    elif before != now:
        yield f"{name} is {_short(before)} there and {_short(now)} now"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn a full disk and its like into a DataError that says how to go on."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write into {folder}: {error.strerror or error}. What is finished is kept; "
            "once that is mended, the same command goes on from there."
        ) from None
