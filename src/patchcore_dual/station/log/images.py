"""`ImageStore`: images by the hash of their bytes, and how long they are kept."""

import hashlib
import os
import re
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from patchcore_dual.errors import StationError, UnavailableError
from patchcore_dual.station.log.durable import make_folder, remove_stale, write_durably

_SHA256 = re.compile("[0-9a-f]{64}")
_NEW = 600.0  # seconds in which whoever stored an image may not have named it in the log yet
_DAY = 86_400.0


@dataclass(frozen=True)
class Removed:
    """What retention removed.

    Attributes:
        count: of images.
        bytes: their size.
    """

    count: int
    bytes: int


class ImageStore:
    """A folder of images, each once, in files as `ab/cdef….bin`.

    Files appear whole or not at all. Several threads and processes may use the folder.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     store = ImageStore(Path(folder))
    ...     name = store.put(b"an image")
    ...     store.read(name), store.path(name).parent.name == name[:2]
    (b'an image', True)
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made where it is missing.

        Raises:
            StationError: where it cannot be made.
        """
        self._folder = folder
        try:
            make_folder(folder)
        except OSError as error:
            raise StationError(f"cannot use the folder {folder}: {error.strerror}.") from None

    def put(self, content: bytes) -> str:
        """Keep an image; it is on the disk when this returns.

        Returns:
            The hex sha256 of its bytes.

        Raises:
            UnavailableError: where it cannot be written, as on a full disk.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        with suppress(FileNotFoundError):  # retention looks at it just now
            if self.hold(sha256) and self.path(sha256).stat().st_size == len(content):
                return sha256
        write_durably(self.path(sha256), content)
        return sha256

    def hold(self, sha256: str) -> bool:
        """Let an image count as new, so that retention spares it for now.

        Call it before a ledger or a review is going to name the image.

        Returns:
            Whether it is there.
        """
        try:
            os.utime(self.path(sha256))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UnavailableError(f"cannot use {self.path(sha256)}: {error.strerror}.") from None
        return True

    def read(self, sha256: str) -> bytes:
        """The bytes of an image.

        Raises:
            FileNotFoundError: where retention has removed it.
        """
        return self.path(sha256).read_bytes()

    def path(self, sha256: str) -> Path:
        """Where an image is, or would be.

        Raises:
            StationError: for a text that is no hex sha256.
        """
        if not _SHA256.fullmatch(sha256):
            raise StationError("an image is named by 64 hexadecimal digits.")
        return self._folder / sha256[:2] / f"{sha256[2:]}.bin"

    def apply_retention(
        self,
        days: float | None,
        bytes: int | None,
        keep: Collection[str] | Callable[[], Collection[str]],
    ) -> Removed:
        """Remove images that are too old, and the oldest while there are too many.

        An image is as old as its last `put` or `hold`. What was stored or held in the last ten
        minutes stays, since whoever did may not have named it yet.

        Args:
            days: the age that images may have; None for any.
            bytes: what all of them may take; None for any size.
            keep: hex sha256 of images that stay, or a function that gives them, which is called
                once the images were listed. Where it raises, nothing is removed.

        Returns:
            What was removed.
        """
        images = sorted(self._images())
        if callable(keep):
            keep = keep()
        spared, now = frozenset(keep), time.time()
        excess = sum(size for _, size, _ in images) - bytes if bytes is not None else 0
        count = removed = 0
        for used, size, sha256 in images:
            is_old = days is not None and used < now - days * _DAY
            if not is_old and removed >= excess:
                break  # and so for all that are newer
            if used < now - _NEW and sha256 not in spared and self._remove(sha256, used):
                count, removed = count + 1, removed + size
        return Removed(count, removed)

    def _images(self) -> list[tuple[float, int, str]]:
        """When each image was last used, its size, and its name."""
        found = []
        for folder in self._folder.glob("[0-9a-f][0-9a-f]"):
            self._restore(folder)
            remove_stale(folder)
            for path in folder.glob("*.bin"):
                try:
                    stat = path.stat()
                except FileNotFoundError:  # another process removes too
                    continue
                found.append((stat.st_mtime, stat.st_size, folder.name + path.stem))
        return found

    def _remove(self, sha256: str, used: float) -> bool:
        """Remove an image unless it was used since."""
        path = self.path(sha256)
        aside = path.with_suffix(".removing")
        try:
            # Once it is aside, `put` and `hold` no longer find it; until then, they leave a trace.
            path.replace(aside)
            if aside.stat().st_mtime != used:
                aside.replace(path)
                return False
            aside.unlink()
        except FileNotFoundError:
            return False
        return True

    def _restore(self, folder: Path) -> None:
        """Put back what a process that was killed had set aside."""
        for aside in folder.glob("*.removing"):
            try:
                if aside.with_suffix(".bin").exists():
                    aside.unlink()
                else:
                    aside.replace(aside.with_suffix(".bin"))
            except FileNotFoundError:
                pass
