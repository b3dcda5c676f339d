"""Reading a file that somebody else may still be writing."""

import os
import stat

from patchcore_dual.station.watch.listing import Signature

_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"


class NotComplete(Exception):
    """A file that changed while it was read, or has vanished."""


class TooLarge(Exception):
    """A file that is larger than is allowed; the message says so."""


def read_complete(path: bytes, seen: Signature, max_bytes: int) -> bytes:
    """The content of a file, if it is the one that was seen, from beginning to end.

    Links are not followed, so that none can be put in the file's place meanwhile.

    Args:
        path: the file.
        seen: its signature.
        max_bytes: most that is read.

    Raises:
        NotComplete: it changed, vanished, or is in exclusive use.
        TooLarge: it is larger than `max_bytes`.
        OSError: it cannot be read, as for want of rights.
    """
    if seen.size > max_bytes:
        raise TooLarge(
            f"it has {seen.size / 2**20:.1f} MiB, and {max_bytes / 2**20:.1f} are allowed"
        )
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    flags |= getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError as error:
        raise NotComplete from error
    with os.fdopen(handle, "rb") as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise NotComplete
        content = file.read(max_bytes + 1)
        after = os.fstat(file.fileno())
    # The third time is left out: file servers may give it otherwise for an open file.
    if any(Signature.of(one)[:2] != seen[:2] for one in (before, after)):
        raise NotComplete
    if len(content) != seen.size:
        raise NotComplete
    return content


def looks_unfinished(content: bytes) -> bool:
    """Whether a file has no content, or is a JPEG without its end, which decoders overlook.

    Some programs make a file of its full size first and fill it then: what is missing is zeros.

    >>> looks_unfinished(b"\\xff\\xd8\\xff\\xe0 half of it" + bytes(1000))
    True
    >>> looks_unfinished(b"\\xff\\xd8\\xff\\xe0 all of it \\xff\\xd9")
    False
    """
    if not content.strip(b"\0"):
        return True
    return content.startswith(_JPEG) and not content.rstrip(b"\0").endswith(_JPEG_END)
