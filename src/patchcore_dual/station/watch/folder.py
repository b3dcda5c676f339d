"""What becomes of the files in a watched folder, and which folders may be watched together."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from patchcore_dual.data.listing import printable
from patchcore_dual.errors import StationError
from patchcore_dual.station.settings import WatchedFolder

UNREADABLE = "unreadable"
"""What stands in place of a verdict where a file could not be inspected."""
PLACES = {
    "pass": "inspected",
    "review": "review",
    "reject": "rejected",
    "not inspected": "not-inspected",
    UNREADABLE: "unreadable",
}
"""The sub-folder that a file is moved to, by its verdict."""
RESERVED = frozenset(PLACES.values())
"""Names of sub-folders whose files are never inspected."""


def check_apart(folders: Sequence[WatchedFolder]) -> None:
    """Raise StationError where one watched folder is another one, or lies in it."""
    for number, one in enumerate(folders):
        for other in folders[number + 1 :]:
            first, second = (Path(os.path.realpath(f.folder)) for f in (one, other))
            if first.is_relative_to(second) or second.is_relative_to(first):
                raise StationError(
                    f"{printable(one.folder)} and {printable(other.folder)} are watched both, and "
                    "one lies in the other: an image there would be inspected twice. Watch "
                    "folders that lie beside each other."
                )


def check_clear(folders: Sequence[WatchedFolder], kept: Mapping[str, Path]) -> None:
    """Raise StationError where images that must stay where they are lie in a watched folder.

    Args:
        folders: what is watched.
        kept: such places, by what is there, in words.
    """
    for one in folders:
        watched = Path(os.path.realpath(one.folder))
        for what, place in kept.items():
            if Path(os.path.realpath(place)).is_relative_to(watched):
                raise StationError(
                    f"{what} ({printable(place)}) are in the watched folder "
                    f"{printable(one.folder)}, and would be inspected and moved. Watch a folder "
                    "in which a camera's images are alone."
                )
