"""Every change of a model is a version of it: recorded in its ledger, and kept until it is pruned.

A folder whose model was changed holds, beside `model.json` and the data files:

    ledger.jsonl           what was changed, when, by whom and why
    versions/head          the hash of the ledger's last line
    versions/0a1b….json    the `model.json` of each version, named by its fingerprint

The order of writing makes a change whole. Data files and the version's own text come first, which
nothing names yet. Then the ledger, the head and `model.json` take their places, one right after the
other: a process killed before the ledger has changed nothing, and what one killed after it has left
to do, the next change does first. Readers look at `model.json` alone.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

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
from patchcore_dual.utils.files import replace_in_order, write_atomically
from patchcore_dual.utils.locking import locked

VERSIONS = "versions"
HEAD = "head"
_OF_A_FIT = ("data", "normal_images", "defective_images", "kinds")
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
    if text == _current(folder):
        return version_in_place(folder)
    try:
        write_data(folder, data)
        return record(folder, text, edit)
    except DataError:  # what was written of it may be what fills the disk
        sweep(folder)
        raise


def version_in_place(folder: Path) -> Version:
    """The version that a model folder is at. One that was never changed is at its first."""
    return _begun(folder).last


def history(folder: Path) -> Ledger:
    """The ledger of a model folder; that of a model which was never changed has its fit alone.

    Raises:
        ModelError: where the folder holds no model, or its ledger is damaged.
    """
    if not (folder / MODEL_FILE).is_file() and not (folder / LEDGER_FILE).is_file():
        raise ModelError(f"{folder} is not a model folder: it has no {MODEL_FILE}.")
    return _begun(folder)


def record(folder: Path, text: bytes, edit: Edit) -> Version:
    """Make `text`, whose data files are there, the `model.json`, and write down why."""
    current, ledger = _current(folder), _begun(folder)
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
        _put_in_place(folder, ledger, text if text != _current(folder) else None)
    for path in _half_written(folder):
        path.unlink()


def check_ledger(folder: Path) -> "State":
    """`state_of` a model folder that can be changed.

    Raises:
        ModelError: where model or ledger were changed in another way than through the ledger.
    """
    state = state_of(folder)
    if state == "other ledger":
        raise ModelError(
            f"the ledger of {folder} does not end as it was last written, so that nothing is "
            f"changed. See: patchcore-dual history {folder} --verify"
        )
    if state == "other model":
        last = len(Ledger.read(folder))
        raise ModelError(
            f"{folder / MODEL_FILE} is not version {last}, with which the ledger ends: it was "
            "changed in another way. To go back to that version: "
            f"patchcore-dual undo {folder} --to {last}"
        )
    return state


State = Literal["complete", "pending", "other model", "other ledger"]


def state_of(folder: Path) -> State:
    """How `model.json` and the head agree with the ledger.

    "pending" is a change that was killed when the ledger had it already.
    """
    ledger, head = Ledger.read(folder), _head(folder)
    if not len(ledger):
        return "complete" if head == "" else "other ledger"
    if head not in (ledger.head, _head_before(ledger)):
        return "other ledger"
    current = _current(folder)
    fingerprint = fingerprint_of(current) if current is not None else None
    if fingerprint == ledger.last.fingerprint:
        return "complete" if head == ledger.head else "pending"
    return "pending" if fingerprint == ledger.last.before else "other model"


def _head_before(ledger: Ledger) -> str:
    """The head before the last change. The first one writes two lines: that of the fit, its own."""
    return ledger.last.previous if len(ledger) > 2 else ""


def version_file(folder: Path, fingerprint: str) -> Path:
    """Where the `model.json` of a version is kept."""
    return folder / VERSIONS / f"{fingerprint}.json"


def version_text(folder: Path, version: Version) -> bytes:
    """The `model.json` of a version, whose data files are all there.

    Raises:
        ModelError: where it was pruned, is missing or damaged.
    """
    path = version_file(folder, version.fingerprint)
    if version.fingerprint in Ledger.read(folder).pruned:
        raise ModelError(
            f"version {version.number} of {folder} was removed by prune. "
            f"Those that are left: patchcore-dual history {folder}"
        )
    try:
        text = path.read_bytes()
    except OSError:
        current = _current(folder)  # all there is of a model that was never changed
        if current is None or fingerprint_of(current) != version.fingerprint:
            raise ModelError(f"{path}, version {version.number}, is missing.") from None
        return current
    if fingerprint_of(text) != version.fingerprint:
        raise ModelError(f"{path} is damaged: its content does not match its name.")
    for name in sorted(files_named_in(text)):
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}, of version {version.number}, is missing.")
    return text


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
    named = set().union(*map(files_named_in, [*texts, _current(folder) or b""]))
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
    contents = {
        folder / LEDGER_FILE: ledger.text,
        folder / VERSIONS / HEAD: ledger.head.encode(),
    }
    if text is not None:
        contents[folder / MODEL_FILE] = text
    replace_in_order(contents)


def _begun(folder: Path) -> Ledger:
    """The ledger of a folder, or what would be its first line."""
    ledger, current = Ledger.read(folder), _current(folder)
    if len(ledger) or current is None:
        return ledger
    path = folder / MODEL_FILE
    edit = fit_edit(current, _owner(path))
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return ledger.adding(edit, fingerprint_of(current), written)


def fit_edit(text: bytes, by: str = "") -> Edit:
    """A fit as a change, with what its `model.json` says of the training images."""
    try:
        known = json.loads(text)["trained_on"]
        return Edit("fit", by=by, effects={k: known[k] for k in _OF_A_FIT if k in known})
    except (ValueError, KeyError, TypeError):  # damaged: what was fitted cannot be known
        return Edit("fit", by=by)


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError, NotImplementedError):
        return "unknown"


def _current(folder: Path) -> bytes | None:
    try:
        return (folder / MODEL_FILE).read_bytes()
    except FileNotFoundError:
        return None


def _head(folder: Path) -> str:
    try:
        return (folder / VERSIONS / HEAD).read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return ""
