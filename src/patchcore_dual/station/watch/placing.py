"""Putting an inspected file into its place, and its result beside it."""

import os
from pathlib import Path

from patchcore_dual.errors import StationError
from patchcore_dual.station.settings import WatchedFolder
from patchcore_dual.station.watch.folder import PLACES
from patchcore_dual.station.watch.listing import Signature
from patchcore_dual.station.watch.outlets.files import fitting_name, sync_folder, write_beside


def target_of(watched: WatchedFolder, path: bytes, verdict: str, id: str) -> bytes:
    """Where a file is to go, as a path in the watched folder.

    A file below keeps its sub-folders. Where there is a file of that name already, the id is added,
    and a number where that is there, too: the same file can come several times.

    Args:
        watched: the folder.
        path: where the file is, in the folder.
        verdict: of its inspection, or "unreadable".
        id: of its inspection.

    >>> target_of(WatchedFolder(Path("none"), "bracket"), b"monday/7.png", "reject", "01J")
    b'rejected/monday/7.png'
    """
    if watched.then == "mark":
        return path
    target = os.fsencode(PLACES[verdict]) + b"/" + path
    return _free(watched, target, id)


def place(watched: WatchedFolder, path: bytes, target: bytes, read: Signature, body: str) -> bool:
    """Move a file to its target, if that is another, and write the result beside it.

    May be called again after it was interrupted anywhere.

    Args:
        watched: the folder.
        path, target: of the file, in the folder.
        read: signature of the file that was inspected; a newer one at `path` is left there.
        body: the result as JSON.

    Returns:
        Whether the file is in its place. If not, it was removed or replaced by somebody else.

    Raises:
        OSError, StationError, DataError: it cannot be moved, or the result cannot be written.
    """
    here, there = _join(watched, path), _join(watched, target)
    if target != path and _is_there(here, read):
        _make_folder(watched, os.path.dirname(target))
        os.rename(here, there)
        if not _is_there(there, read):
            # It was replaced at this very moment: the new one goes back, to be inspected.
            back = here
            if os.path.lexists(here):
                back = _join(watched, _free(watched, path, f"{read.modified:x}"))
            os.rename(there, back)
            return False
        for folder in {os.path.dirname(here), os.path.dirname(there)}:
            sync_folder(Path(os.fsdecode(folder)))
    if not os.path.lexists(there):
        return False
    _check_inside(watched, there)
    write_beside(Path(os.fsdecode(there)), body)
    return True


def is_taken(watched: WatchedFolder, path: bytes, target: bytes) -> bool:
    """Whether there is another file where this one, which is not moved yet, is to go."""
    return (
        target != path
        and os.path.lexists(_join(watched, path))
        and os.path.lexists(_join(watched, target))
    )


def _free(watched: WatchedFolder, path: bytes, added: str) -> bytes:
    """A path at which there is no file: the one given, or a similar one."""
    stem, suffix = os.path.splitext(path)
    below, name = os.path.split(stem)
    number = 1
    while os.path.lexists(_join(watched, path)):
        end = f"-{added}" if number == 1 else f"-{added}-{number}"
        fitting = fitting_name(os.fsdecode(name), end + os.fsdecode(suffix))
        path = os.path.join(below, os.fsencode(fitting))
        number += 1
    return path


def _join(watched: WatchedFolder, path: bytes) -> bytes:
    return os.path.join(os.fsencode(watched.folder), path)


def _is_there(path: bytes, read: Signature) -> bool:
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return Signature.of(status)[:2] == read[:2]  # moving a file changes the last of its times


def _check_inside(watched: WatchedFolder, path: bytes) -> None:
    """Raise StationError where a folder has become a link that leads elsewhere."""
    folder = Path(os.fsdecode(os.path.dirname(path)))
    if not folder.resolve().is_relative_to(watched.folder.resolve()):
        raise StationError(f"{folder} leads out of the watched folder: nothing is written there.")


def _make_folder(watched: WatchedFolder, below: bytes) -> None:
    """Make the folders that a file is moved to, none of which may lead elsewhere."""
    folder = os.fsencode(watched.folder)
    for part in below.split(b"/"):
        above, folder = folder, os.path.join(folder, part)
        if os.path.islink(folder):
            raise StationError(
                f"{os.fsdecode(folder)} is a link: inspected images would leave the watched "
                "folder. Put a folder in its place."
            )
        if not os.path.isdir(folder):
            os.mkdir(folder)
            sync_folder(Path(os.fsdecode(above)))
