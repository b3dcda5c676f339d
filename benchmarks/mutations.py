"""Deliberate errors in the core, one at a time: does a test notice each of them?

    python benchmarks/mutations.py             # all of them
    python benchmarks/mutations.py guard leak  # those whose name holds one of these words

Every error of `mutations.toml` is put into a copy of the source tree, never into the tree itself,
and the tests that are meant to catch it are run on that copy. The exit code is 1 where one survives
or no longer applies. It takes minutes, so it is run by hand and not with the other tests.
"""

import argparse
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

# Not used here: imported once, for all the processes that run tests.
for name in ("cv2", "hypothesis", "numba", "scipy.optimize", "scipy.ndimage", "torch", "pydantic"):
    import_module(name)

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "src/patchcore_dual"
NEEDED = ("src", "tests", "docs", "examples", "benchmarks", "pyproject.toml", "README.md")
PASSED, FAILED = 0, 1  # pytest's exit codes; others mean that it could not run the tests
UNUSABLE = 9  # they ran, but on another copy of the package


@dataclass(frozen=True)
class Mutation:
    """One deliberate error.

    Attributes:
        name: what the error is, in words.
        file: the changed file, below `src/patchcore_dual/`.
        old, new: the text that is replaced, which occurs exactly once, and what replaces it.
        tests: the tests meant to catch it, as pytest takes them.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, source: str) -> str | None:
        """The source with the error; None where its text is not found exactly once."""
        return source.replace(self.old, self.new) if source.count(self.old) == 1 else None


def read_mutations(path: Path = ROOT / "benchmarks/mutations.toml") -> list[Mutation]:
    """All errors of the table."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    errors = [Mutation(**{**row, "tests": tuple(row["tests"])}) for row in table["error"]]
    assert len({error.name for error in errors}) == len(errors), "two errors of one name"
    return errors


def run_tests(copy: Path, tests: Sequence[str]) -> int:
    """Run tests on a copy of the tree in a process of its own; pytest's exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = UNUSABLE
    try:
        os.chdir(copy)
        os.environ["PYTHONPATH"] = str(copy / "src")
        # A file that is changed and restored within a second would else keep its old byte code.
        sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = int(pytest.main(["-x", "-p", "no:cacheprovider", *tests]))
        package = sys.modules.get("patchcore_dual")
        if package is not None and not Path(str(package.__file__)).is_relative_to(copy):
            code = UNUSABLE
    finally:
        os._exit(code)


def try_out(copy: Path, error: Mutation) -> str:
    """Put one error into the copy, run its tests and take it out again: how it ended."""
    path = copy / PACKAGE / error.file
    source = path.read_text(encoding="utf-8") if path.is_file() else ""
    changed = error.applied(source)
    if changed is None:
        return "does not apply"
    path.write_text(changed, encoding="utf-8")
    _forget_compiled(path)
    try:
        code = run_tests(copy, error.tests)
    finally:
        path.write_text(source, encoding="utf-8")
        _forget_compiled(path)
    if code in (PASSED, FAILED):
        return "caught" if code == FAILED else "SURVIVED"
    return f"its tests cannot be run (pytest ended with {code})"


def try_all(errors: Sequence[Mutation]) -> Iterator[tuple[Mutation, str]]:
    """How each error ended, after its tests have passed on an unchanged copy."""
    with TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / "tree"
        for name in NEEDED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, copy_function=shutil.copy2)
            else:
                shutil.copy2(ROOT / name, copy / name)
        tests = sorted({test for error in errors for test in error.tests})
        if run_tests(copy, tests) != PASSED:
            sys.exit("The tests fail without any error, so they say nothing. Mend them first.")
        for error in errors:
            yield error, try_out(copy, error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("word", nargs="*", help="only errors whose name or file holds one of these")
    words = parser.parse_args().word
    errors = [
        error
        for error in read_mutations()
        if not words or any(word in f"{error.file}: {error.name}" for word in words)
    ]
    if not errors:
        sys.exit("No error has a name like that.")
    start = time.monotonic()
    missed = 0
    for error, result in try_all(errors):
        missed += result != "caught"
        print(f"{result:16} {error.file}: {error.name}", flush=True)
    minutes = (time.monotonic() - start) / 60
    print(f"{len(errors) - missed} of {len(errors)} errors were caught, in {minutes:.1f} minutes.")
    sys.exit(1 if missed else 0)


def _forget_compiled(path: Path) -> None:
    """Remove compiled functions beside a file: they may hold what it was before."""
    for cached in path.parent.glob("__pycache__/*.nb[ic]"):
        cached.unlink()


if __name__ == "__main__":
    main()
