"""`locked`: one process at a time works on a folder.

The lock is the operating system's own, on a hidden file beside the folder. It ends with the process
that holds it, however that ends: a killed process leaves the file, but not the lock.
"""

import errno
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from patchcore_dual.errors import DataError

_log = logging.getLogger(__name__)

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        # A byte that is never written, since others cannot read a locked one.
        os.lseek(handle, 2**30, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


_SILENT = 3.0  # seconds of waiting that nobody need know of
_HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)


@contextmanager
def locked(folder: Path, work: str, remedy: str, wait: float = 0) -> Iterator[None]:
    """Keep other processes from working on a folder while the block runs.

    Args:
        folder: need not exist, other than the folder that it lies in.
        work: what is being done, for messages ("fit").
        remedy: what a user can do besides waiting, for messages.
        wait: seconds to wait for another process before giving up.

    Raises:
        DataError: where another process holds the lock, or the lock file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as temporary, locked(Path(temporary, "model"), "fit", ""):
    ...     print(*(path.name for path in Path(temporary).iterdir()))
    .model.lock
    """
    folder = folder.resolve()
    path = folder.with_name(f".{folder.name}.lock")
    begun, is_said = time.monotonic(), False
    while (handle := _acquire(path)) is None:
        if time.monotonic() >= begun + wait:
            raise DataError(
                f"{folder} is in use: another {work} is running there{_holder(path)}. "
                f"Wait until it has ended. {remedy}".rstrip()
            )
        if time.monotonic() >= begun + _SILENT and not is_said:
            _log.warning("%s is in use%s: waiting for at most %.0f s.", folder, _holder(path), wait)
            is_said = True
        time.sleep(0.05)
    try:
        yield
    finally:
        # Removed while it is locked, so that nobody can have taken it between; Windows removes no
        # open file, and nothing that another process has opened meanwhile.
        if sys.platform == "win32":
            os.close(handle)
        with suppress(OSError):
            path.unlink()
        if sys.platform != "win32":
            os.close(handle)


def _acquire(path: Path) -> int | None:
    """The open, locked file; None where another process holds it."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise DataError(f"cannot write into {path.parent}: {error.strerror}.") from None
        try:
            _lock(handle)
        except OSError as error:
            if error.errno in _HELD:
                os.close(handle)
                return None
            _log.warning("%s cannot be locked (%s): run one command at a time.", path, error)
        with suppress(FileNotFoundError):
            # Another process may have removed the file between its opening and its locking.
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                begun = time.strftime("%Y-%m-%d %H:%M:%S")
                os.ftruncate(handle, 0)
                os.lseek(handle, 0, os.SEEK_SET)
                text = f"process {os.getpid()} on {platform.node()}, begun {begun}"
                with suppress(OSError):  # on a full disk, messages cannot name the process
                    os.write(handle, text.encode())
                return handle
        os.close(handle)


def _holder(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")[:200].strip()
    except OSError:
        text = ""
    return f" ({text})" if text else ""
