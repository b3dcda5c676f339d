"""`Arrivals`: which of the files that were seen are complete."""

from collections.abc import Mapping

from patchcore_dual.data.listing import natural_key, printable
from patchcore_dual.station.watch.listing import Signature


class Arrivals:
    """Tells complete files from those that are still being written, by looks at a folder.

    A file is complete when its size and times have been the same for `settle` seconds, by two looks
    at least. The clock is the station's own and never goes back: that of a file server may be
    wrong, so a file's age is of no account.

    Args:
        settle: seconds; 0 takes each file at the first look.

    >>> arrivals = Arrivals(settle=1.0)
    >>> short, whole = Signature(10, 0, 0), Signature(99, 5, 5)
    >>> arrivals.complete({b"a.png": short}, now=0.0)
    []
    >>> arrivals.complete({b"a.png": whole}, now=1.5)
    []
    >>> arrivals.complete({b"a.png": whole}, now=2.5)
    [b'a.png']
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._seen: dict[bytes, tuple[Signature, float]] = {}
        self._done: dict[bytes, Signature] = {}
        self._not_before: dict[bytes, float] = {}

    def complete(self, images: Mapping[bytes, Signature], now: float) -> list[bytes]:
        """Take a look's image files, and give the complete ones, in the order they were written.

        Args:
            images: all that are there.
            now: seconds of a monotonic clock.
        """
        new = {path: one for path, one in images.items() if self._done.get(path) != one}
        for kept in (self._seen, self._not_before):
            for path in kept.keys() - new.keys():
                del kept[path]
        complete = []
        for path, signature in new.items():
            before, since = self._seen.get(path, (None, now))
            if before != signature:
                self._seen[path] = signature, now
                self._not_before.pop(path, None)
                since = now
            if now - since >= self._settle and now >= self._not_before.get(path, now):
                complete.append(path)
        return sorted(complete, key=lambda path: (new[path].modified, _natural(path)))

    def still_for(self, path: bytes, now: float) -> float:
        """Seconds for which a file has been seen unchanged."""
        return now - self._seen[path][1] if path in self._seen else 0.0

    def put_off(self, path: bytes, until: float) -> None:
        """Leave a file out until a time, or until it changes."""
        self._not_before[path] = until

    def done(self, path: bytes, signature: Signature) -> None:
        """Leave a file out until it changes."""
        self._done[path] = signature
        self._seen.pop(path, None)

    def forget(self, path: bytes) -> None:
        """Take what comes under this path for another file."""
        self._done.pop(path, None)
        self._seen.pop(path, None)
        self._not_before.pop(path, None)

    @property
    def waiting(self) -> int:
        """How many files have been seen and are not inspected yet."""
        return len(self._seen)


def _natural(path: bytes) -> list[tuple[int, int, str]]:
    return natural_key(printable(path.decode("utf-8", "surrogateescape")))
