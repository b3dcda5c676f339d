"""`WatchedFolder`: what is to be watched, and what is to become of its files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from patchcore_dual.data.listing import printable
from patchcore_dual.errors import StationError

Then = Literal["move", "mark"]
UNREADABLE = "unreadable"
"""What stands in place of a verdict where a file could not be inspected."""
PLACES = {
    "pass": "inspected",
    "review": "review",
    "reject": "rejected",
    UNREADABLE: "unreadable",
}
"""The sub-folder that a file is moved to, by its verdict."""
RESERVED = frozenset(PLACES.values())
"""Names of sub-folders whose files are never inspected."""


@dataclass(frozen=True)
class WatchedFolder:
    """A folder whose image files are inspected as they appear.

    Attributes:
        folder: where images appear; folders below are watched too. It may be absent for a time, as
            a network share is.
        model: name of the model that inspects them.
        then: "move" puts an inspected image into `inspected/`, `review/` or `rejected/` in the
            folder, by its verdict, and a file that cannot be inspected into `unreadable/`; "mark"
            leaves all where they are. Either way a JSON file beside the image has the result.
        every: seconds between two looks.
        settle: seconds for which a file's size and times have to stay the same before it is
            taken for complete. 0 is for writers that rename complete files into place.
        patience: seconds for which a file that does not decode has to stay the same before it is
            given up, since its writer may only be slow.
        max_bytes: a larger file is not read.

    >>> WatchedFolder(Path("/srv/camera"), "bracket").source
    'watch:/srv/camera'
    >>> WatchedFolder(Path("/srv/camera"), "bracket", settle=-1)
    Traceback (most recent call last):
    patchcore_dual.errors.StationError: settle is -1 seconds; give 0 or more.
    """

    folder: Path
    model: str
    then: Then = "move"
    every: float = 0.5
    settle: float = 1.0
    patience: float = 10.0
    max_bytes: int = 32 * 2**20

    def __post_init__(self) -> None:
        for name in ("settle", "patience"):
            if getattr(self, name) < 0:
                raise StationError(f"{name} is {getattr(self, name):g} seconds; give 0 or more.")
        if self.every <= 0:
            raise StationError(f"every is {self.every:g} seconds; give more than 0.")

    @property
    def source(self) -> str:
        """What the log calls the source of its images."""
        return f"watch:{printable(self.folder)}"


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
