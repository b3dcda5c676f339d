"""The versions of a model, as they lie in its folder.

A folder whose model was changed holds, beside `model.json` and the data files:

    ledger.jsonl           what was changed, when, by whom and why
    versions/head          the hash of the ledger's last line
    versions/0a1b….json    the `model.json` of each version, named by its fingerprint

`edits.py` says how they are written. Readers of the model look at `model.json` alone.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from patchcore_dual.errors import ModelError
from patchcore_dual.model.ledger import Edit, Ledger, Version
from patchcore_dual.model.schema import MODEL_FILE
from patchcore_dual.model.serialised import files_named_in, fingerprint_of

VERSIONS = "versions"
HEAD = "head"
_OF_A_FIT = ("data", "normal_images", "defective_images", "kinds")


def history(folder: Path) -> Ledger:
    """The ledger of a model folder; that of a model which was never changed has its fit alone.

    Raises:
        ModelError: where the folder holds no model, or its ledger is damaged.
    """
    ledger, current = Ledger.read(folder), text_in_place(folder)
    if len(ledger):
        return ledger
    if current is None:
        raise ModelError(f"{folder} is not a model folder: it has no {MODEL_FILE}.")
    path = folder / MODEL_FILE
    edit = fit_edit(current, _owner(path))
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return ledger.adding(edit, fingerprint_of(current), written)


def version_in_place(folder: Path) -> Version:
    """The version that a model folder is at. One that was never changed is at its first."""
    return history(folder).last


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
        current = text_in_place(folder)  # all there is of a model that was never changed
        if current is None or fingerprint_of(current) != version.fingerprint:
            raise ModelError(f"{path}, version {version.number}, is missing.") from None
        return current
    if fingerprint_of(text) != version.fingerprint:
        raise ModelError(f"{path} is damaged: its content does not match its name.")
    for name in sorted(files_named_in(text)):
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}, of version {version.number}, is missing.")
    return text


def text_in_place(folder: Path) -> bytes | None:
    """The `model.json` of a folder; None without one."""
    try:
        return (folder / MODEL_FILE).read_bytes()
    except FileNotFoundError:
        return None


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
    current = text_in_place(folder)
    fingerprint = fingerprint_of(current) if current is not None else None
    if fingerprint == ledger.last.fingerprint:
        return "complete" if head == ledger.head else "pending"
    is_former = fingerprint == ledger.last.before and head != ledger.head
    return "pending" if is_former else "other model"


def _head_before(ledger: Ledger) -> str:
    """The head before the last change. The first one writes two lines: that of the fit, its own."""
    return ledger.last.previous if len(ledger) > 2 else ""


def check_ledger(folder: Path) -> State:
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


def _head(folder: Path) -> str:
    try:
        return (folder / VERSIONS / HEAD).read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return ""
