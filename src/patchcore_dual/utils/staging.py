"""Making a folder whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patchcore_dual.errors import DataError
from patchcore_dual.utils.locking import locked


@contextmanager
def staged_folder(target: Path, marker: str, content: str, overwrite: bool) -> Iterator[Path]:
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
    check_replaceable(target, marker, content, overwrite)
    staging = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target, "command", "Or name another folder."):
            check_replaceable(target, marker, content, overwrite)  # one may just have ended
            try:
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir()
                yield staging
                _replace(target, staging)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot write {error.filename or target}: {reason}.") from None


def check_replaceable(target: Path, marker: str, content: str, overwrite: bool) -> None:
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
            raise DataError(
                f"{target} already holds a {content}. "
                "Name another folder, or replace it with --overwrite."
            )
    elif any(target.iterdir()):
        raise DataError(
            f"{target} is not empty and holds no {content}, so it is left alone. Name a new folder."
        )


def _replace(target: Path, staging: Path) -> None:
    if not target.exists():
        os.rename(staging, target)
        return
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    os.rename(target, old)
    try:
        os.rename(staging, target)
    except BaseException:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
