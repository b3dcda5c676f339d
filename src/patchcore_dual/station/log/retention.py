"""What retention may not remove, and when it may not believe the clock."""

import time
from collections.abc import Iterable
from pathlib import Path

from patchcore_dual.errors import ModelError
from patchcore_dual.model.ledger import Ledger
from patchcore_dual.station.log.log import Log

_JUMP = 3600.0  # seconds by which a clock is not set forward in daily life
_PAUSE = 86_400.0  # seconds in which somebody may notice that it is wrong


def named_images(log: Log, models: Iterable[Path]) -> set[str]:
    """Hex sha256 of all images that a ledger, an edit in the log or an open review names.

    Args:
        log: the log.
        models: the model folders, each with or without a ledger.

    Raises:
        ModelError: for a damaged ledger, and a folder that is away.
        UnavailableError: while the database is away.
    """
    named: set[str] = set()
    for folder in models:
        ledger = Ledger.read(folder)
        if not folder.is_dir():
            raise ModelError(f"{folder} is away, and with it the ledger that may name images.")
        named |= {image.sha256 for version in ledger.versions for image in version.images}
    return named | log.images_in_edits() | log.images_in_review()


class Clock:
    """Whether the time of day can be believed, by which images are old.

    One that jumps forward by years would have every image removed at once.

    >>> Clock().is_believed()
    True
    """

    def __init__(self) -> None:
        self._ahead = _ahead()
        self._mistrusted_until = 0.0

    def is_believed(self) -> bool:
        """False for a day after it has jumped forward since it was asked last."""
        ahead, now = _ahead(), _steady()
        if ahead > self._ahead + _JUMP:
            self._mistrusted_until = now + _PAUSE
        self._ahead = ahead
        return now >= self._mistrusted_until


def _ahead() -> float:
    return time.time() - _steady()


def _steady() -> float:
    """Seconds that cannot be set, and run on while the PC sleeps where the system can say so."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
