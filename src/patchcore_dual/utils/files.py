"""Writing files so that a killed process leaves the old file or the new one, never half of one."""

import hashlib
import os
import tempfile
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
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise DataError(f"cannot write into {path.parent}: {error.strerror}.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise DataError(f"cannot write {path}: {error.strerror}.") from None
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
