"""What an unfinished fit has done, kept on disk until the model is saved.

Rows are appended image by image, and the checkpoint's journal names each with a checksum. A process
killed at any moment leaves whole images and at most one that is cut off, which the next run drops.
Arrays that take long to choose are written in one step.
"""

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from patchcore_dual.errors import DataError
from patchcore_dual.utils.checkpoint import Checkpoint, writing_explained
from patchcore_dual.utils.files import write_atomically

FORMAT = 2  # to be raised when other code would give other features, coresets or distances


class FitCheckpoint:
    """The folder of an unfinished fit. Work of another plan is discarded.

    Attributes:
        folder: where it lies.
        resumes: whether an earlier run left something of use.
    """

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self._work = Checkpoint(
            folder,
            {"format": FORMAT, **plan},
            other_plan="discard",
            what="an unfinished fit",
            remedy="Move what is in it, or give another --model.",
        )
        self.folder, self.resumes = folder, self._work.resumes

    def rows(self, name: str, dtype: type, width: int) -> "RowFile":
        """The rows of images that are kept under a name."""
        return RowFile(self._work, name, dtype, width)

    def arrays(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The arrays that are kept under a name; made, and then kept, where there are none."""
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as kept:
                return dict(kept)
        except (OSError, ValueError, EOFError, BadZipFile):
            pass  # missing, or damaged
        arrays = make()
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        write_atomically(path, content.getvalue())
        self._work.record({"file": path.name})
        return arrays

    def remove(self) -> None:
        """Remove the folder: the model is saved."""
        self._work.remove()


class RowFile:
    """Rows `[n, width]` of many images in one file, appended image by image.

    Attributes:
        counts: number of rows of each image that is there.
    """

    def __init__(self, work: Checkpoint, name: str, dtype: type, width: int) -> None:
        self._work, self._name = work, name
        self._path, self._dtype, self._width = work.folder / name, np.dtype(dtype), width
        self.counts: list[int] = []
        with writing_explained(work.folder):
            self._path.touch()
            self._recover()

    def append(self, rows: np.ndarray) -> None:
        """Add the rows of the next image."""
        data = np.ascontiguousarray(rows, dtype=self._dtype).tobytes()
        try:
            with self._path.open("ab") as file:
                file.write(data)
        except OSError as error:
            raise DataError(f"cannot write {self._path}: {error.strerror}.") from None
        # Not flushed to disk for each image: the checksums tell what a power cut has lost.
        self._work.record(
            {"file": self._name, "rows": len(rows), "checksum": _checksum(data)}, flush=False
        )
        self.counts.append(len(rows))

    def read(self, in_memory: bool = True) -> np.ndarray:
        """All rows; mapped from the file, which then has to stay, unless `in_memory`."""
        shape = (sum(self.counts), self._width)
        if in_memory or not shape[0]:
            return np.fromfile(self._path, dtype=self._dtype).reshape(shape)
        return np.memmap(self._path, dtype=self._dtype, mode="r", shape=shape)

    def _recover(self) -> None:
        """Drop the first image that is not whole, and all after it."""
        end, row, is_whole, kept = 0, self._width * self._dtype.itemsize, True, []
        with self._path.open("r+b") as file:
            for entry in self._work.entries:
                if entry["file"] == self._name:
                    data = file.read(entry["rows"] * row) if is_whole else b""
                    is_whole = (
                        is_whole
                        and len(data) == entry["rows"] * row
                        and _checksum(data) == entry["checksum"]
                    )
                    if not is_whole:
                        continue
                    end += len(data)
                    self.counts.append(entry["rows"])
                kept.append(entry)
            file.truncate(end)
        if len(kept) < len(self._work.entries):
            self._work.keep(kept)


def _checksum(data: bytes) -> int:
    """CRC-32 from a start other than zero, so that zeros left by a power cut are not valid data."""
    return zlib.crc32(data, 1)
