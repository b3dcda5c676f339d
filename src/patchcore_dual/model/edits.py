"""Changing a model: every change is a version, made whole or not at all, and recorded.

The order of writing makes it whole. Data files and the version's own text come first, which nothing
names yet. Then the ledger, `model.json` and the head take their places, one right after the other:
a process killed before the ledger has changed nothing, and what one killed after it has left to do,
the next change does first.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patchcore_dual.errors import DataError, ModelError
from patchcore_dual.model.ledger import LEDGER_FILE, Edit, Ledger, Version
from patchcore_dual.model.model import Model
from patchcore_dual.model.schema import MODEL_FILE
from patchcore_dual.model.serialised import (
    ALL_SUFFIXES,
    DATA_FILE,
    files_named_in,
    fingerprint_of,
    serialise,
)
from patchcore_dual.model.versions import (
    HEAD,
    VERSIONS,
    check_ledger,
    history,
    text_in_place,
    version_file,
    version_in_place,
    version_text,
)
from patchcore_dual.utils.files import replace_in_order, write_atomically
from patchcore_dual.utils.locking import locked

_WAIT = 120.0  # seconds that one edit waits for another


@contextmanager
def editing(folder: Path, *, wait: float = _WAIT) -> Iterator[None]:
    """Keep other processes from changing a model while the block runs.

    Load the model inside the block, so that no change of another process is lost. A process that
    ends, however it does, holds the lock no longer.

    Args:
        folder: of the model.
        wait: seconds to wait for another edit, or a fit, before giving up.

    Raises:
        ModelError: where the folder holds no model, cannot be written, or was changed in another
            way than through its ledger.
        DataError: where another process keeps the model.
    """
    with locked_model(folder, wait=wait):
        settle(folder)
        yield


@contextmanager
def locked_model(folder: Path, *, wait: float = _WAIT) -> Iterator[None]:
    """As `editing`, of a model whose `model.json` may be lost or altered."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a model folder.")
    for place in (folder, folder.resolve().parent):  # the lock lies beside the folder
        if not os.access(place, os.W_OK):
            raise ModelError(f"{folder} cannot be changed: {place} is not writable.")
    with locked(folder.absolute(), "change of the model", "Then try again.", wait):
        yield


def commit(folder: Path, model: Model, edit: Edit) -> Version:
    """Put a changed model in place as a new version, whole or not at all. Only inside `editing`.

    A model that is the same as the one in place is no new version.

    Returns:
        The version that is in place now.

    Raises:
        DataError: where it cannot be written. The model is then as it was.
    """
    text, data = serialise(model)
    if text == text_in_place(folder):
        return version_in_place(folder)
    try:
        write_data(folder, data)
        return record(folder, text, edit)
    except DataError:  # what was written of it may be what fills the disk
        sweep(folder)
        raise


def record(folder: Path, text: bytes, edit: Edit) -> Version:
    """Make `text`, whose data files are there, the `model.json`, and write down why."""
    current, ledger = text_in_place(folder), history(folder)
    fingerprint = fingerprint_of(text)
    kept = {fingerprint: text}
    if len(ledger) == 1 and current is not None:
        kept[ledger.last.fingerprint] = current
    ledger = ledger.adding(edit, fingerprint)
    try:
        (folder / VERSIONS).mkdir(exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make {folder / VERSIONS}: {error.strerror}.") from None
    for name, content in kept.items():
        path = version_file(folder, name)
        if not holds(path, content):
            write_atomically(path, content)
    _put_in_place(folder, ledger, text if text != current else None)
    return ledger.last


def settle(folder: Path) -> None:
    """Complete what a killed change has begun, or clear it away, in a folder that is locked.

    Data files that nothing names yet stay until `sweep`: the same change would write them again.

    Raises:
        ModelError: where model or ledger were changed in another way than through the ledger.
    """
    if check_ledger(folder) == "pending":
        ledger = Ledger.read(folder)
        text = version_text(folder, ledger.last)
        _put_in_place(folder, ledger, text if text != text_in_place(folder) else None)
    for path in _half_written(folder):
        path.unlink()


def write_data(folder: Path, data: dict[str, bytes]) -> None:
    """Write the data files that are not there, or are damaged."""
    for name, content in data.items():
        if not holds(folder / name, content):
            write_atomically(folder / name, content)


def holds(path: Path, content: bytes) -> bool:
    """Whether a file is there and undamaged, so that it need not be written again."""
    return path.is_file() and path.read_bytes() == content


def sweep(folder: Path) -> int:
    """Remove versions that were pruned, data files that no version names, and half-written files.

    Returns:
        The bytes that this frees.
    """
    ledger = Ledger.read(folder)
    kept = {version.fingerprint for version in ledger.versions} - ledger.pruned
    versions = set((folder / VERSIONS).glob("*.json"))
    unneeded = {path for path in versions if len(ledger) and path.stem not in kept}
    unneeded |= set(_half_written(folder))
    texts = [path.read_bytes() for path in versions - unneeded]
    named = set().union(*map(files_named_in, [*texts, text_in_place(folder) or b""]))
    data = {path for path in folder.iterdir() if DATA_FILE.fullmatch(path.name)}
    unneeded |= {path for path in data if path.name not in named}
    freed = sum(path.stat().st_size for path in unneeded)
    for path in sorted(unneeded):
        path.unlink()
    return freed


def is_unfinished(path: Path) -> bool:
    """Whether a killed process left this file half written."""
    name = path.name
    begins = (f".{MODEL_FILE}.", f".{LEDGER_FILE}.", f".{HEAD}.")
    return name.startswith(begins) or (
        name.startswith(".") and any(f".{suffix}." in name for suffix in (*ALL_SUFFIXES, "json"))
    )


def _half_written(folder: Path) -> list[Path]:
    hidden = [*folder.glob(".*"), *(folder / VERSIONS).glob(".*")]
    return [path for path in hidden if is_unfinished(path)]


def _put_in_place(folder: Path, ledger: Ledger, text: bytes | None) -> None:
    contents = {folder / LEDGER_FILE: ledger.text}
    if text is not None:
        contents[folder / MODEL_FILE] = text
    # Last: with the head in place, a former `model.json` is one that somebody has put back.
    contents[folder / VERSIONS / HEAD] = ledger.head.encode()
    replace_in_order(contents)
