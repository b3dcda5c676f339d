"""`verify`: whether a model's ledger and versions are as they were written."""

from pathlib import Path

from patchcore_dual.errors import ModelError
from patchcore_dual.model.ledger import (
    LEDGER_FILE,
    Ledger,
    Version,
    hash_of,
    parse,
    problem_of,
    read_lines,
)
from patchcore_dual.model.schema import MODEL_FILE
from patchcore_dual.model.serialised import files_named_in, fingerprint_of
from patchcore_dual.model.versions import HEAD, VERSIONS, history, state_of, version_file
from patchcore_dual.utils.files import file_sha256


def verify(folder: Path, expected: str = "") -> list[str]:
    """What was altered in a model folder since it was written; nothing where it is whole.

    Each line of the ledger has the hash of the one before, and `versions/head` that of the last;
    `model.json` has to be the last version; every version that was not pruned has to have its
    fingerprint; every data file of it the hash in its name. Whoever can write all of these files
    can make a ledger anew: only a hash of an earlier line that is kept elsewhere finds that.

    Args:
        folder: of the model.
        expected: such a hash, as an earlier verification printed it, or its first digits.

    Returns:
        One sentence for each problem.

    Raises:
        ModelError: where the folder holds no model.
    """
    problems = _problems_of_lines(folder)
    if not problems:
        ledger = history(folder)
        problems = [*_problems_of_state(folder), *_problems_of_files(folder, ledger)]
        hashes = [hash_of(line) for line in read_lines(folder)]
        if expected and not any(known.startswith(expected.lower()) for known in hashes):
            problems.append(f"no line of the ledger has the hash {expected}: it was made anew")
    return problems


def _problems_of_lines(folder: Path) -> list[str]:
    if not (folder / MODEL_FILE).is_file() and not (folder / LEDGER_FILE).is_file():
        raise ModelError(f"{folder} is not a model folder: it has no {MODEL_FILE}.")
    lines = read_lines(folder)
    problems: list[str] = []
    earlier: list[Version] = []
    for number, line in enumerate(lines, 1):
        version = parse(line)
        if version is None:
            return [*problems, f"line {number} is damaged: it is no line of a ledger"]
        if problem := problem_of(version, earlier, lines[: number - 1]):
            problems.append(problem)
        earlier.append(version)
    return problems


def _problems_of_state(folder: Path) -> list[str]:
    state = state_of(folder)
    if state == "other ledger":
        return [
            f"{VERSIONS}/{HEAD} has the hash of another line than the last: the last line was "
            "changed, or lines after it were removed or added"
        ]
    if state == "other model":
        return [f"{MODEL_FILE} is not the model that the last line of the ledger left"]
    return []


def _problems_of_files(folder: Path, ledger: Ledger) -> list[str]:
    problems = []
    named = files_named_in(_text(folder / MODEL_FILE))
    for fingerprint in dict.fromkeys(v.fingerprint for v in ledger.versions):
        path = version_file(folder, fingerprint)
        if fingerprint in ledger.pruned or not (folder / LEDGER_FILE).is_file():
            continue
        text = _text(path)
        if fingerprint_of(text) != fingerprint:
            problems.append(f"{VERSIONS}/{path.name} is {'damaged' if text else 'missing'}")
        named |= files_named_in(text)
    for name in sorted(named):
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif file_sha256(path) not in name:
            problems.append(f"{name} is damaged: its content does not match its name")
    return problems


def _text(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
