"""Reading passwords and keys from files, since command lines and environments can be seen."""

import logging
import os
import stat
from pathlib import Path

from patchcore_dual.errors import StationError

_log = logging.getLogger(__name__)


def read_secret(path: Path, what: str) -> bytes:
    """The first line of a file, without the line's end.

    Args:
        path: the file. It is logged if every user of the PC may read it.
        what: what it holds, for messages.

    Raises:
        StationError: it cannot be read, or is empty.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "password")
    ...     _ = path.write_text("correct horse\\n")
    ...     path.chmod(0o600)
    ...     read_secret(path, "the password")
    b'correct horse'
    """
    try:
        with path.open("rb") as file:
            secret = file.readline(4096).rstrip(b"\r\n")
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise StationError(f"{path}, for {what}, cannot be read: {error.strerror}.") from None
    if not secret:
        raise StationError(f"{path}, for {what}, is empty. Write it into the first line.")
    if os.name == "posix" and mode & (stat.S_IROTH | stat.S_IWOTH):
        _log.warning("%s holds %s, and every user can read it: chmod 600 %s", path, what, path)
    return secret
