"""The JSON file beside an image: the result for programs that look into folders."""

import hashlib
import os
from pathlib import Path

from patchcore_dual.utils.files import write_atomically

SUFFIX = ".inspection.json"
# Most bytes of a file's name, less what `write_atomically` adds while the file is incomplete.
_LONGEST_NAME = 255 - 16


def write_beside(image: Path, body: str) -> Path:
    """Write a result beside an image, whole or not at all, and on disk when this returns.

    Args:
        image: the image's path; its name may hold any bytes.
        body: a JSON object.

    Returns:
        The file's path.

    Raises:
        DataError: it cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = write_beside(Path(folder, "part.png"), '{"verdict": "pass"}')
    ...     path.name, path.read_text()
    ('part.png.inspection.json', '{"verdict": "pass"}\\n')
    """
    path = path_beside(image)
    write_atomically(path, body.encode() + b"\n")
    sync_folder(path.parent)
    return path


def path_beside(image: Path) -> Path:
    """Where the result of an image lies.

    >>> path_beside(Path("monday", "part.png")).as_posix()
    'monday/part.png.inspection.json'
    """
    return image.with_name(fitting_name(image.name, SUFFIX))


def fitting_name(name: str, suffix: str) -> str:
    """A file name with a suffix, shortened where file systems would not take it.

    >>> fitting_name("part.png", ".json")
    'part.png.json'
    >>> len(fitting_name("long" * 60, ".json"))
    239
    """
    raw, end = os.fsencode(name), os.fsencode(suffix)
    if len(raw) + len(end) > _LONGEST_NAME:
        digest = hashlib.sha256(raw).hexdigest()[:12].encode()
        kept = raw[: _LONGEST_NAME - len(end) - len(digest) - 1]
        raw = kept.decode("utf-8", "ignore").encode() + b"-" + digest
    return os.fsdecode(raw + end)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network shares cannot
        pass
    finally:
        os.close(handle)
