"""Making a folder whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patchcore_dual.errors import DataError
from patchcore_dual.utils.locking import locked

REMEDY = "Name another folder, or replace it with --overwrite."


@contextmanager
def staged_folder(
    target: Path, marker: str, content: str, overwrite: bool, remedy: str = REMEDY
) -> Iterator[Path]:
    """A new folder beside `target` to write into; it becomes `target` when the block ends well.

    When the block fails or is interrupted, the new folder is removed and `target` is as it was.
    A killed process leaves a hidden folder (its name begins with a dot), which the next run
    removes.

    Args:
        target: the folder to make or replace.
        marker: name of a file that every folder of this sort has: only such a folder, or an empty
            one, is replaced.
        content: what such a folder holds, for messages ("prepared data set").
        overwrite: whether a folder with the marker may be replaced.
        remedy: what to do about one that may not be replaced, for messages.

    Raises:
        DataError: `target` may not be replaced (see `check_replaceable`), or writing fails.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as temporary:
    ...     target = Path(temporary, "report")
    ...     with staged_folder(target, "index.html", "report", overwrite=False) as folder:
    ...         _ = (folder / "index.html").write_text("<p>Done.")
    ...         target.exists()
    ...     target.exists(), folder.exists()
    False
    (True, False)
    """
    check_replaceable(target, marker, content, overwrite, remedy)
    with folder_beside(target, marker) as staging:
        check_replaceable(target, marker, content, overwrite, remedy)  # one may just have ended
        yield staging
        _replace(target, staging)


@contextmanager
def folder_beside(target: Path, marker: str) -> Iterator[Path]:
    """A new hidden folder beside `target`, which is locked; it is removed after the block.

    Args:
        target: the folder that is made or added to.
        marker: name of a file that every folder of this sort has.

    Raises:
        DataError: another command works on `target`, or writing fails.
    """
    staging = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target, "command", "Or name another folder."):
            _bring_back(target, marker)
            try:
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir()
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot write {error.filename or target}: {reason}.") from None


def check_replaceable(
    target: Path, marker: str, content: str, overwrite: bool, remedy: str = REMEDY
) -> None:
    """Check that `target` may be made or replaced; arguments as for `staged_folder`.

    Raises:
        DataError: `target` is a file, a folder with other content, or a folder with the marker
            while `overwrite` is False.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise DataError(f"{target} is a file. Name a new folder for the {content}.")
    if (target / marker).is_file():
        if not overwrite:
            raise DataError(f"{target} already holds a {content}. {remedy}")
    elif any(target.iterdir()):
        raise DataError(
            f"{target} is not empty and holds no {content}, so it is left alone. Name a new folder."
        )


def _replace(target: Path, staging: Path) -> None:
    if not target.exists():
        os.rename(staging, target)
        return
    old = _former(target)
    shutil.rmtree(old, ignore_errors=True)
    os.rename(target, old)
    try:
        os.rename(staging, target)
    except BaseException:
        os.rename(old, target)
        raise
    try:
        shutil.rmtree(old, ignore_errors=True)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{target} is new and complete; {old}, which it has replaced, can be removed."
        ) from None


def _bring_back(target: Path, marker: str) -> None:
    """Undo a replacement during which the process was killed."""
    if not target.exists() and (_former(target) / marker).is_file():
        os.rename(_former(target), target)


def _former(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")
