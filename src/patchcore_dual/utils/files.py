"""Writing files so that a killed process leaves the old file or the new one, never half of one."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from patchcore_dual.errors import DataError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    The data are written beside `path`, flushed to disk, and then replace `path` in one step, so
    other processes see the old contents or the new ones.

    Args:
        path: the file to make or replace; its folder has to exist.
        data: the contents.

    Raises:
        DataError: the file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "scores.csv")
    ...     write_atomically(path, b"image,score")
    ...     write_atomically(path, b"image,score,verdict")
    ...     path.read_bytes(), [p.name for p in path.parent.iterdir()]
    (b'image,score,verdict', ['scores.csv'])
    """
    replace_in_order({path: data})


def replace_in_order(contents: Mapping[Path, bytes]) -> None:
    """Write several files, each whole or not at all, and put them in place one after the other.

    All of them are on disk before the first takes its place, so a full disk changes none. A process
    that is killed in between leaves the first ones new and the rest old.

    Args:
        contents: of each file to make or replace, in order; their folders have to exist.

    Raises:
        DataError: a file cannot be written.
    """
    written: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, data in contents.items():
            try:
                handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            except OSError as error:
                raise DataError(f"cannot write into {path.parent}: {error.strerror}.") from None
            written.append((path, Path(name)))
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~_umask())
        for path, temporary in written:
            os.replace(temporary, path)
    except BaseException as error:
        for _, temporary in written:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(f"cannot write {path}: {error.strerror}.") from None
        raise


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
