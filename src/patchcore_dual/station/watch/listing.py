"""Image files in a watched folder: what one look at it finds."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from patchcore_dual.data.listing import IMAGE_SUFFIXES, is_passed_over
from patchcore_dual.station.watch.folder import RESERVED


class Signature(NamedTuple):
    """What changes when a file is written to: its size, and its times in nanoseconds.

    Inodes are no part of it, since those of network shares can change from look to look.
    """

    size: int
    modified: int
    changed: int

    @staticmethod
    def of(status: os.stat_result) -> "Signature":
        return Signature(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Found(NamedTuple):
    """The files of a watched folder, by their path in it as bytes.

    Attributes:
        images: those that are to be inspected.
        left_out: links and folders that are not read, and why.
        others: one file of each suffix that is not an image's.
    """

    images: dict[bytes, Signature]
    left_out: dict[bytes, str]
    others: dict[bytes, bytes]


_DEEPEST = 32  # folders in one another
_SUFFIXES = frozenset(suffix.encode() for suffix in IMAGE_SUFFIXES)


def list_files(folder: Path | str) -> Found:
    """Look once through a folder and those below.

    Costs one reading of each folder and one `stat` of each image file; nothing is opened. Hidden
    files and folders, those of file managers, links, devices and the folders that inspected images
    are moved to are left out.

    Raises:
        OSError: the folder itself cannot be read, as when a network share is away.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("1.png", ".2.png", "3.png.tmp", "monday/4.JPG", "inspected/5.png"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     sorted(list_files(folder).images)
    [b'1.png', b'monday/4.JPG']
    """
    found = Found({}, {}, {})
    _enter(os.fsencode(folder), b"", found)
    return found


def _enter(folder: bytes, below: bytes, found: Found) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(b"."):
                continue
            path = below + entry.name
            try:
                if entry.is_symlink():
                    found.left_out[path] = "a link, which is not followed"
                elif not entry.is_dir(follow_symlinks=False):
                    _add(entry, path, found)
                elif _is_left_alone(os.fsdecode(entry.name), below):
                    continue
                elif path.count(b"/") < _DEEPEST:
                    _enter(entry.path, path + b"/", found)
                else:
                    found.left_out[path] = f"a folder in {_DEEPEST} others"
            except FileNotFoundError:  # it has vanished meanwhile
                continue
            except OSError as error:
                found.left_out[path] = f"it cannot be read: {error.strerror}"


def _is_left_alone(name: str, below: bytes) -> bool:
    return is_passed_over(name) or (not below and name in RESERVED)


def _add(entry: os.DirEntry[bytes], path: bytes, found: Found) -> None:
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix not in _SUFFIXES:
        found.others.setdefault(suffix, path)
        return
    status = entry.stat(follow_symlinks=False)
    if stat.S_ISREG(status.st_mode):
        found.images[path] = Signature.of(status)
