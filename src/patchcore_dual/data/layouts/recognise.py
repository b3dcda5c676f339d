"""Telling which layout a folder has, so that a wrong one can be named in the error."""

from collections.abc import Callable
from pathlib import Path

from patchcore_dual.data.layouts.source import some, subfolders
from patchcore_dual.data.manifest import MANIFEST_NAME
from patchcore_dual.errors import DataError


def _any(folder: Path, pattern: str) -> bool:
    return next(folder.glob(pattern), None) is not None


_SIGNS: dict[str, Callable[[Path], bool]] = {
    "ksdd2": lambda f: _any(f, "train/*_GT*.png") or _any(f, "test/*_GT*.png"),
    "kolektorsdd": lambda f: _any(f, "*/*_label.bmp"),
    "mvtec": lambda f: (f / "train/good").is_dir() and (f / "ground_truth").is_dir(),
    "magnetic-tile": lambda f: _any(f, "MT_*/Imgs"),
    "folder": lambda f: (f / "good").is_dir() or (f / "train/good").is_dir(),
}


def recognise(folder: Path) -> str | None:
    """The name of the layout that `folder` seems to have, if any."""
    return next((name for name, fits in _SIGNS.items() if fits(folder)), None)


def wrong_layout(source: Path, layout: str, expected: str) -> DataError:
    """The error for a folder that is not what `layout` promises: expected, found, and a hint."""
    if not source.exists():
        return DataError(f"{source} does not exist. Check the path of the data set.")
    if not source.is_dir():
        return DataError(f"{source} is a file; name the folder that holds the data set.")
    return DataError(
        f"{source} is not a data set in the layout {layout}: expected {expected}; "
        f"found {_contents(source)}.{_hint(source, layout)}"
    )


def _contents(folder: Path) -> str:
    entries = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir())
    return some(entries) or "an empty folder"


def _hint(source: Path, layout: str) -> str:
    if (source / MANIFEST_NAME).is_file():
        return " It is a prepared data set already: use it as it is."
    if (other := recognise(source)) and other != layout:
        return f" It looks like the layout {other}: try that."
    inside = [(f, found) for f in subfolders(source) if (found := recognise(f))]
    if inside:
        names = some(f"{f.name} ({found})" for f, found in inside)
        return f" It holds folders that look like data sets: {names}. Name one of them."
    return ""
