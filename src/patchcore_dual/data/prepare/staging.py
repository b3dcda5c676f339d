"""Making a folder whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patchcore_dual.data.manifest import MANIFEST_NAME
from patchcore_dual.errors import DataError


@contextmanager
def staged_folder(target: Path, overwrite: bool) -> Iterator[Path]:
    """A new folder beside `target` to write into; it becomes `target` when the block ends well.

    When the block fails or is interrupted, the new folder is removed and `target` is as it was.
    What a killed process left is hidden (its name begins with a dot) and cleared by the next run.
    Raises DataError where `target` may not be replaced: see `check_replaceable`.
    """
    check_replaceable(target, overwrite)
    staging = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        yield staging
        _replace(target, staging)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot write {error.filename or target}: {reason}.") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_replaceable(target: Path, overwrite: bool) -> None:
    """Refuse a file, a folder of something else, and a prepared data set unless `overwrite`."""
    if not target.exists():
        return
    if not target.is_dir():
        raise DataError(f"{target} is a file. Name a new folder for the prepared data set.")
    if (target / MANIFEST_NAME).is_file():
        if not overwrite:
            raise DataError(
                f"{target} already holds a prepared data set. "
                "Name another folder, or replace it with --overwrite."
            )
    elif any(target.iterdir()):
        raise DataError(
            f"{target} is not empty and holds no prepared data set, so it is left alone. "
            "Name a new folder."
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
