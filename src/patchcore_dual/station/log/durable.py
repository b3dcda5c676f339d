"""Files that are on the disk, name and all, when the call returns."""

import os
import sys
import time
from pathlib import Path

from patchcore_dual.errors import DataError, UnavailableError
from patchcore_dual.utils.files import write_atomically

_STALE = 3600.0  # seconds after which nobody is writing a file any more


def write_durably(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; its folder is made where it is missing.

    Raises:
        UnavailableError: where it cannot be written, as on a full disk.
    """
    try:
        make_folder(path.parent)
        write_atomically(path, data)
        sync_folder(path.parent)
    except DataError as error:
        raise UnavailableError(str(error)) from None
    except OSError as error:
        raise UnavailableError(f"cannot write {path}: {error.strerror}.") from None


def make_folder(folder: Path) -> None:
    """Make a folder with those that it lies in."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk; Windows does so by itself."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_stale(folder: Path) -> None:
    """Remove what killed processes left half written in a folder."""
    for path in folder.glob(".*"):
        try:
            if path.stat().st_mtime < time.time() - _STALE:
                path.unlink()
        except FileNotFoundError:  # written or removed meanwhile
            pass
