"""A set of synthetic images on disk, and its rows in the manifest of its data set.

The folder is a `Checkpoint`: `plan.json` holds everything that the images depend on, and each line
of `journal.jsonl` names a finished image. An image and its mask are in place before their line is
written, so a killed run leaves at most one pair without a line, which the next run removes.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.data.manifest import MANIFEST_NAME, Manifest, Sample
from patchcore_dual.data.reading import write_png
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.utils.checkpoint import (
    JOURNAL_NAME,
    PLAN_NAME,
    Checkpoint,
    writing_explained,
)
from patchcore_dual.utils.locking import locked

_PICTURE = re.compile(r"(\d{4,})(_mask)?\.png")
# Names that `_write` and `write_atomically` give to a file before it is in place.
_HALF_WRITTEN = re.compile(r"\.(\d{4,}(_mask)?\.png|\w+\.(json|jsonl|html|png)\.\w+)")


def run_folder(prepared: Path, name: str) -> Path:
    """The folder of the set `name`; SettingsError for a name that no folder can have.

    >>> run_folder(Path("prepared"), "poisson-seed1").as_posix()
    'prepared/synthetic/poisson-seed1'
    """
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise SettingsError(
            f"--name is {name!r}; use letters, digits, and . + - _ after the first."
        )
    return prepared / "synthetic" / name


@dataclass(frozen=True)
class FinishedImage:
    """The journal's entry for a finished image, the `index`-th from 0; see `Sample`."""

    index: int
    kind: str
    group: str
    origin: str
    provenance: dict[str, Any]


class Run:
    """The folder of one set of synthetic images.

    Attributes:
        folder: where the set lies.
        finished: the images that are complete, by index.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], overwrite: bool = False) -> None:
        """Begin a set, or continue one.

        Args:
            folder: created where it does not exist.
            plan: everything that the images depend on, as plain values.
            overwrite: discard the set that the folder holds.

        Raises:
            DataError: where the folder holds something else, a set of another plan or a damaged
                one, or cannot be written.
        """
        self.folder = folder
        replace = "" if overwrite else ", or replace the old ones with --overwrite"
        remedy = f"Give the new ones another --name{replace}."
        self._checkpoint = Checkpoint(
            folder,
            plan,
            other_plan="discard" if overwrite else "refuse",
            what="synthetic images",
            remedy=remedy,
        )
        with writing_explained(folder):
            if overwrite:
                self._discard()
            self.finished = self._read_entries(remedy)
            self._remove_unfinished()

    def image_path(self, index: int) -> Path:
        return self.folder / f"{index + 1:04d}.png"

    def mask_path(self, index: int) -> Path:
        return self.folder / f"{index + 1:04d}_mask.png"

    def add(self, entry: FinishedImage, image: np.ndarray, mask: np.ndarray) -> None:
        """Write a finished image, uint8 `[H, W, 3]`, and its mask, bool `[H, W]`."""
        with writing_explained(self.folder):
            _write(self.image_path(entry.index), image)
            _write(self.mask_path(entry.index), mask)
        self._checkpoint.record(asdict(entry))
        self.finished[entry.index] = entry

    def is_complete(self, index: int) -> bool:
        """Whether an image is finished and both of its files exist."""
        return index in self.finished and self._has_files(index)

    def row(self, index: int, prepared: Path) -> Sample:
        """The manifest row of a finished image; paths are relative to the prepared folder."""
        entry = self.finished[index]
        return Sample(
            image=_relative(self.image_path(index), prepared),
            mask=_relative(self.mask_path(index), prepared),
            label="positive",
            split="train",
            kind=entry.kind,
            group=entry.group,
            origin=entry.origin,
            provenance=entry.provenance,
        )

    def _discard(self) -> None:
        """Remove everything from a set that is to be made anew with the same plan."""
        self._checkpoint.keep([])
        for path in self.folder.iterdir():
            if path.is_file() and path.name not in (PLAN_NAME, JOURNAL_NAME):
                path.unlink()

    def _read_entries(self, remedy: str) -> dict[int, FinishedImage]:
        """The journal's images whose files exist; the others are made again."""
        finished = {}
        for number, values in enumerate(self._checkpoint.entries, start=1):
            try:
                entry = FinishedImage(**values)
            except TypeError:
                journal = self.folder / JOURNAL_NAME
                raise DataError(f"{journal}, line {number}: damaged. {remedy}") from None
            if self._has_files(entry.index):
                finished[entry.index] = entry
        if len(finished) < len(self._checkpoint.entries):
            self._checkpoint.keep(map(asdict, finished.values()))
        return finished

    def _remove_unfinished(self) -> None:
        """Remove pictures that the journal does not name, and half-written files."""
        for path in self.folder.iterdir():
            picture = _PICTURE.fullmatch(path.name)
            unnamed = picture and int(picture[1]) - 1 not in self.finished
            if unnamed or _HALF_WRITTEN.fullmatch(path.name):
                path.unlink()

    def _has_files(self, index: int) -> bool:
        return self.image_path(index).is_file() and self.mask_path(index).is_file()


def enrol(prepared: Path, folder: Path, rows: Sequence[Sample]) -> None:
    """Replace the rows of a run in the `manifest.csv` of its data set, in one step.

    Args:
        prepared: folder of the data set.
        folder: folder of the run, inside it.
        rows: the new rows of the run; empty to remove it from the manifest.
    """
    # Read again, because another run may have been added since this one began, or just now.
    with locked(prepared / MANIFEST_NAME, "augment", "Then run the same command again.", wait=60):
        manifest = Manifest.load(prepared, with_rejected=True)
        prefix = folder.resolve().relative_to(prepared.resolve()).as_posix() + "/"
        others = [s for s in manifest if not s.image.startswith(prefix)]
        before = [s for s in manifest if s.image.startswith(prefix)]
        if before != list(rows):
            manifest.where([*others, *rows]).save()


def _write(path: Path, array: np.ndarray) -> None:
    """Write a PNG beside `path`, flush it to disk, then put it in place in one step."""
    beside = path.with_name(f".{path.name}")
    write_png(beside, array)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)


def _relative(path: Path, prepared: Path) -> str:
    path, prepared = path.resolve(), prepared.resolve()
    return (path.relative_to(prepared) if path.is_relative_to(prepared) else path).as_posix()
