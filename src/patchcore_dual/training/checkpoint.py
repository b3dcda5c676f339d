"""What an unfinished fit has done, kept on disk until the model is saved.

Rows are appended image by image, and the checkpoint's journal names each with a checksum. A process
killed at any moment leaves whole images and at most one that is cut off, which the next run drops.
Arrays that take long to choose are written in one step.
"""

import io
import zlib
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np

from patchcore_dual.errors import DataError
from patchcore_dual.utils.checkpoint import Checkpoint, writing_explained
from patchcore_dual.utils.files import write_atomically

FORMAT = 3  # to be raised when other code would give other features, coresets or distances


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

    def arrays(
        self,
        name: str,
        make: Callable[[], dict[str, np.ndarray]],
        fits: Callable[[dict[str, np.ndarray]], bool] = lambda _: True,
    ) -> dict[str, np.ndarray]:
        """The arrays that are kept under a name; made, and then kept, where there are none.

        Args:
            fits: whether kept arrays have the names and shapes that `make` gives. If not, or if
                it raises KeyError, ValueError or IndexError, they are made again.
        """
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                kept = dict(file)
            if fits(kept):
                return kept
        except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, BadZipFile):
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
        self._wanted: int | None = None  # at most so many images; None for all
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
        entry = {
            "file": self._name,
            "image": len(self.counts),
            "rows": len(rows),
            "checksum": _checksum(data),
        }
        self._work.record(entry, flush=False)
        self.counts.append(len(rows))

    def check(self, counts: Sequence[int]) -> None:
        """Keep only the first images, as long as they have as many rows as they should.

        Args:
            counts: the right number of rows of every image.
        """
        pairs = zip(self.counts, counts, strict=False)
        right = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if right < len(self.counts):
            self.keep(right)

    def keep(self, images: int) -> None:
        """Drop all images but the first so many."""
        self._wanted, self.counts = images, []
        with writing_explained(self._work.folder):
            self._recover()

    def read(self, in_memory: bool = True) -> np.ndarray:
        """All rows; mapped from the file, which then has to stay, unless `in_memory`."""
        shape = (sum(self.counts), self._width)
        if in_memory or not shape[0]:
            return np.fromfile(self._path, dtype=self._dtype).reshape(shape)
        return np.memmap(self._path, dtype=self._dtype, mode="r", shape=shape)

    def _recover(self) -> None:
        """Drop the first image that is not whole, and all after it."""
        end, is_whole, kept = 0, True, []
        with self._path.open("r+b") as file:
            for entry in self._work.entries:
                if entry.get("file") == self._name:
                    data = self._read_whole(entry, file) if is_whole else None
                    if data is None:
                        is_whole = False
                        continue
                    end += len(data)
                    self.counts.append(entry["rows"])
                kept.append(entry)
            file.truncate(end)
        if len(kept) < len(self._work.entries):
            self._work.keep(kept)
        self._wanted = None

    def _read_whole(self, entry: dict[str, Any], file: BinaryIO) -> bytes | None:
        """The next image's data; None where they are not what the entry says."""
        rows, number = entry.get("rows"), len(self.counts)
        is_next = entry.get("image") == number and number != self._wanted
        if not is_next or not isinstance(rows, int) or rows < 0:
            return None
        size = rows * self._width * self._dtype.itemsize
        if size > self._path.stat().st_size:
            return None
        data = file.read(size)
        is_whole = len(data) == size and _checksum(data) == entry.get("checksum")
        return data if is_whole else None


def _checksum(data: bytes) -> int:
    """CRC-32 from a start other than zero, so that zeros left by a power cut are not valid data."""
    return zlib.crc32(data, 1)
