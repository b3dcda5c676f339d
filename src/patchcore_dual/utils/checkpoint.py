"""`Checkpoint`: a folder of finished work, so that an interrupted run resumes where it stopped.

Fitting, making synthetic images and running experiments all resume in this one format:

* `plan.json` holds everything that the work depends on. Work of another plan is never mixed in.
* `journal.jsonl` gets one line for each finished item, after the files of that item are written.

A process killed at any moment leaves at most files that no line names, and half a line; both are
ignored when the folder is opened again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from patchcore_dual.errors import DataError
from patchcore_dual.utils.files import write_atomically

PLAN_NAME = "plan.json"
JOURNAL_NAME = "journal.jsonl"

Entry = dict[str, Any]
"""One line of the journal: plain values that say which item is finished, and what it is."""


class Checkpoint:
    """The finished items of one piece of work.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     work = Checkpoint(Path(folder) / "work", {"seed": 0})
    ...     work.record({"item": 1})
    ...     again = Checkpoint(Path(folder) / "work", {"seed": 0})
    >>> again.resumes, again.entries
    (True, [{'item': 1}])

    Attributes:
        folder: where the plan, the journal and the files of the items lie.
        entries: the journal, in order.
        resumes: whether an earlier run with the same plan left finished items.
    """

    def __init__(
        self,
        folder: Path,
        plan: dict[str, Any],
        *,
        other_plan: Literal["refuse", "discard"] = "refuse",
        what: str = "unfinished work",
        remedy: str = "Give another folder.",
    ) -> None:
        """Open the folder, or create it.

        Args:
            folder: created where it does not exist.
            plan: plain values that decide the result of the work.
            other_plan: what happens to work of another plan: an error that names the differences,
                or its removal.
            what: what the folder holds, for messages.
            remedy: what a user can do where the folder cannot be used, for messages.

        Raises:
            DataError: where the folder holds something else, work of another plan, or a damaged
                journal, or cannot be written.
        """
        self.folder, self._what, self._remedy = folder, what, remedy
        self._plan = json.loads(json.dumps(plan))
        with writing_explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not self._is_of_this_plan(other_plan):
                _clear(folder)
                text = json.dumps(self._plan, indent=1, sort_keys=True) + "\n"
                write_atomically(folder / PLAN_NAME, text.encode())
            self.entries = self._read_journal(other_plan)
            self.keep(self.entries)
        self.resumes = bool(self.entries)

    def record(self, entry: Entry, flush: bool = True) -> None:
        """Append one finished item to the journal.

        Args:
            flush: wait until the line is on the disk, so that a power cut cannot take it back.
        """
        with writing_explained(self.folder), (self.folder / JOURNAL_NAME).open("ab") as journal:
            journal.write(_line(entry))
            if flush:
                journal.flush()
                os.fsync(journal.fileno())
        self.entries.append(entry)

    def keep(self, entries: Iterable[Entry]) -> None:
        """Replace the journal by some of its entries, in one step."""
        self.entries = list(entries)
        write_atomically(self.folder / JOURNAL_NAME, b"".join(map(_line, self.entries)))

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_of_this_plan(self, other_plan: Literal["refuse", "discard"]) -> bool:
        path = self.folder / PLAN_NAME
        if not path.is_file():
            # A process killed while it wrote its first plan leaves hidden files.
            if any(not p.name.startswith(".") for p in self.folder.iterdir()):
                raise DataError(
                    f"{self.folder} is not empty and does not hold {self._what}, so it is left "
                    f"alone. {self._remedy}"
                )
            return False
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            if other_plan == "discard":
                return False
            raise DataError(f"{path} is damaged. {self._remedy}") from None
        if before == self._plan:
            return True
        if other_plan == "discard":
            return False
        different = "; ".join(differences(before, self._plan))
        raise DataError(
            f"{self.folder} holds {self._what} of another kind: {different}. {self._remedy}"
        )

    def _read_journal(self, other_plan: Literal["refuse", "discard"]) -> list[Entry]:
        path = self.folder / JOURNAL_NAME
        if not path.is_file():
            return []
        *lines, _unfinished = path.read_bytes().split(b"\n")
        entries: list[Entry] = []
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                if other_plan == "discard":
                    return entries  # what follows is made again
                raise DataError(f"{path}, line {number}: damaged. {self._remedy}")
            entries.append(entry)
        return entries


def plan_digest(plan: dict[str, Any]) -> str:
    """Hex sha256 of a plan, the same for equal plans.

    >>> plan_digest({"a": 1, "b": 2}) == plan_digest({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Where two plans differ, in words.

    >>> list(differences({"seed": 0, "rate": 0.1}, {"seed": 1, "rate": 0.1}))
    ['seed was 0 and is 1 now']
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            inner = f"{name}.{key}" if name else key
            yield from differences(before.get(key), now.get(key), inner)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for position, (old, new) in enumerate(zip(before, now, strict=True), start=1):
            yield from differences(old, new, f"{name} {position}" if len(now) > 1 else name)
    elif before != now:
        yield f"{name} was {_shortened(before)} and is {_shortened(now)} now"


@contextmanager
def writing_explained(folder: Path) -> Iterator[None]:
    """Turn a full disk and the like into a DataError that says how to continue."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write into {folder}: {error.strerror or error}. Everything finished is kept; "
            "once there is room, the same command continues from there."
        ) from None


def _clear(folder: Path) -> None:
    """Empty the folder; its plan goes last, since it says whose folder this is."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == PLAN_NAME):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _line(entry: Entry) -> bytes:
    return json.dumps(entry, sort_keys=True).encode() + b"\n"


def _shortened(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
