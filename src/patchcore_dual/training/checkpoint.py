"""What an unfinished fit has done, kept on disk until the model is there.

Rows are appended image by image, each image with a checksum in an index beside them. A process
killed at any moment leaves whole images and at most one that is cut off, which the next run drops.
Arrays that take long to choose are written in one step. All of it belongs to a key, a hash of
everything that decides it: under another key it is discarded.
"""

import hashlib
import io
import json
import shutil
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from patchcore_dual.errors import DataError
from patchcore_dual.utils.files import write_atomically

_KEY = "key"
FORMAT = 1  # to be raised when other code would give other features, coresets or distances


class FitCheckpoint:
    """A folder of finished work.

    Attributes:
        resumes: whether an earlier run left something of use.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        try:
            self.resumes = (folder / _KEY).is_file() and (folder / _KEY).read_text() == key
            if folder.is_dir() and any(folder.iterdir()) and not (folder / _KEY).is_file():
                raise DataError(f"{folder} holds other things than an unfinished fit: move them.")
            if not self.resumes:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                write_atomically(folder / _KEY, key.encode())
        except OSError as error:
            raise DataError(f"cannot write into {folder}: {error.strerror}.") from None

    def rows(self, name: str, dtype: type, width: int) -> "StoredRows":
        """Rows of images that are kept under a name."""
        return StoredRows(self.folder / name, dtype, width)

    def arrays(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The arrays kept under a name, or those that `make` gives, which are kept then."""
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as kept:
                return dict(kept)
        except (OSError, ValueError, EOFError, BadZipFile):
            pass  # not there, or damaged
        arrays = make()
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        write_atomically(path, content.getvalue())
        return arrays

    def remove(self) -> None:
        """Forget everything: the model is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def key_of(facts: dict[str, Any], files: Iterable[Path]) -> str:
    """Hex digest of plain values and of the content of files."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for file in files:
        try:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror}.") from None
    return digest.hexdigest()


def _checksum(data: bytes) -> int:
    """Not zero where there are no data: a file may end in zeros after a power cut."""
    return zlib.crc32(data, 1)


class StoredRows:
    """Rows `[n, width]` of many images in one file, appended image by image.

    Attributes:
        counts: rows of each image that is there.
    """

    def __init__(self, path: Path, dtype: type, width: int) -> None:
        self._path, self._dtype, self._width = path, np.dtype(dtype), width
        self._index = path.with_name(path.name + ".index")
        self.counts: list[int] = []
        path.touch()
        self._index.touch()
        self._recover()

    def append(self, rows: np.ndarray) -> None:
        """Add the rows of the next image."""
        data = np.ascontiguousarray(rows, dtype=self._dtype).tobytes()
        entry = np.array([len(rows), _checksum(data)], dtype=np.int64)
        try:
            for path, content in ((self._path, data), (self._index, entry.tobytes())):
                with path.open("ab") as file:
                    file.write(content)
        except OSError as error:
            raise DataError(f"cannot write {self._path}: {error.strerror}.") from None
        self.counts.append(len(rows))

    def read(self, in_memory: bool = True) -> np.ndarray:
        """All rows; else mapped from the file, which has to stay."""
        shape = (sum(self.counts), self._width)
        if in_memory or not shape[0]:
            return np.fromfile(self._path, dtype=self._dtype).reshape(shape)
        return np.memmap(self._path, dtype=self._dtype, mode="r", shape=shape)

    def _recover(self) -> None:
        """Drop what is not whole."""
        index = self._index.read_bytes()
        entries = np.frombuffer(index[: len(index) // 16 * 16], dtype=np.int64).reshape(-1, 2)
        end, row = 0, self._width * self._dtype.itemsize
        with self._path.open("r+b") as file:
            for count, checksum in entries.tolist():
                if count < 0:
                    break
                data = file.read(count * row)
                if len(data) < count * row or _checksum(data) != checksum:
                    break
                end += len(data)
                self.counts.append(count)
            file.truncate(end)
        with self._index.open("r+b") as file:
            file.truncate(16 * len(self.counts))
