"""Changes that need no image: going back to a version, naming one, removing old ones.

Each of them is a line of the ledger as every other change is.
"""

import re
from pathlib import Path
from typing import NamedTuple

from patchcore_dual.errors import ModelError, SettingsError
from patchcore_dual.model.edits import editing, locked_model, record, settle, sweep
from patchcore_dual.model.ledger import Edit, Ledger, Version
from patchcore_dual.model.schema import MODEL_FILE
from patchcore_dual.model.versions import history, state_of, version_text
from patchcore_dual.utils.files import file_sha256

_TAG = re.compile(r"(?=.*[^\W\d])\w[\w.-]{0,63}")  # at least one letter, since numbers are versions


class Pruned(NamedTuple):
    """What `prune` removed.

    Attributes:
        version: the line of the ledger; that of the version in place where nothing was removed.
        removed: numbers of the versions that can no longer be returned to.
        freed: bytes.
    """

    version: Version
    removed: tuple[int, ...]
    freed: int


def undo(folder: Path, to: int | None = None, *, by: str = "", why: str = "") -> Version:
    """Put an earlier version of a model in place, so that its fingerprint is that version's.

    Args:
        folder: of the model.
        to: number of the version, earlier or later. By default the one from which the model in
            place was made, so that calling it again goes back one change further.

    Raises:
        ModelError: where there is no such version, or it was pruned.
        DataError: where it cannot be written. The model is then as it was.
    """
    with locked_model(folder):
        effects = {}
        if to is not None and state_of(folder) == "other model":
            # What lies there is no version, and is replaced by one.
            path = folder / MODEL_FILE
            effects = {"replaced": file_sha256(path)[:16] if path.is_file() else None}
        else:
            settle(folder)
        ledger = history(folder)
        if to is not None:
            target: Version | None = ledger.find(str(to), folder)
        else:
            target = ledger.parent(ledger.last)
        if target is None:
            raise ModelError(
                f"{folder} is as it was fitted: there is nothing to undo. For another version, "
                f"give --to; see: patchcore-dual history {folder}"
            )
        text = version_text(folder, target)
        if target.fingerprint == ledger.last.fingerprint and not effects:
            return ledger.last
        return record(folder, text, Edit("undo", (), by, why, {"to": target.number, **effects}))


def tag(
    folder: Path, name: str, number: int | None = None, *, by: str = "", why: str = ""
) -> Version:
    """Give a version a name, which protects it from `prune`.

    Args:
        folder: of the model.
        name: letters, digits, and - _ . after the first; a name in use moves to this version.
        number: of the version; the one in place by default. A tag on an undo names the version to
            which that went back.

    Raises:
        SettingsError: for a name that is none.
        ModelError: where there is no such version, or it was pruned.
    """
    if not _TAG.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot be a tag: give up to 64 letters, digits, - _ or ., of which one is "
            "a letter, as approved."
        )
    with editing(folder):
        ledger = history(folder)
        named = ledger.last if number is None else ledger.find(str(number), folder)
        named = ledger.origin(named)
        version_text(folder, named)
        effects = {"tag": name, "version": named.number}
        if ledger.tags.get(name) == named.number:
            return ledger.last
        return _without_change(folder, Edit("tag", (), by, why, effects))


def untag(folder: Path, name: str, *, by: str = "", why: str = "") -> Version:
    """Take a tag away; its version can then be pruned. ModelError where there is none."""
    with editing(folder):
        ledger = history(folder)
        if name not in ledger.tags:
            there = ", ".join(sorted(ledger.tags)) or "none"
            raise ModelError(f"{folder} has no tag {name!r}. Its tags: {there}.")
        effects = {"tag": name, "version": None}
        return _without_change(folder, Edit("tag", (), by, why, effects))


def prune(folder: Path, keep: int = 10, *, by: str = "", why: str = "") -> Pruned:
    """Remove old versions, and the data files that they alone need. The ledger stays whole.

    Args:
        folder: of the model.
        keep: how many different models to keep, the one in place and those in place before it.
            Tagged ones are kept besides.

    Raises:
        SettingsError: for fewer than one.
    """
    if keep < 1:
        raise SettingsError(f"--keep is {keep}; give 1 or more: the version in place stays.")
    with editing(folder):
        ledger = history(folder)
        removed = prunable(ledger, keep)
        if not removed:
            return Pruned(ledger.last, (), sweep(folder))
        fingerprints = sorted({version.fingerprint for version in removed})
        numbers = tuple(version.number for version in removed)
        effects = {"removed": numbers, "fingerprints": fingerprints}
        version = _without_change(folder, Edit("prune", (), by, why, effects))
        return Pruned(version, numbers, sweep(folder))


def prunable(ledger: Ledger, keep: int) -> list[Version]:
    """The versions that `prune` would remove, the oldest first."""
    recent = list(dict.fromkeys(version.fingerprint for version in reversed(ledger.versions)))
    protected = {ledger.versions[number - 1].fingerprint for number in ledger.tags.values()}
    kept = {*[f for f in recent if f not in ledger.pruned][:keep], *protected}
    return [v for v in ledger.versions if v.fingerprint not in kept | ledger.pruned]


def _without_change(folder: Path, edit: Edit) -> Version:
    return record(folder, (folder / MODEL_FILE).read_bytes(), edit)
