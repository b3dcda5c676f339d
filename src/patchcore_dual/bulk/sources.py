"""Which images are inspected: files, folders, lists, tables of models, and URLs."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from patchcore_dual.bulk.stores import images_at, is_url
from patchcore_dual.data.csv_files import read_csv_file, read_names
from patchcore_dual.data.listing import printable
from patchcore_dual.data.to_inspect import images_to_inspect
from patchcore_dual.errors import DataError

LISTS = (".txt", ".csv")


def images_of(sources: Sequence[str]) -> tuple[Iterator[str], list[str]]:
    """The images of all sources, as absolute paths and URLs, in a fixed order.

    Args:
        sources: files, folders, URLs, and lists: text files with a name on each line, or CSV files
            with a column `image`. Names in a list are relative to its folder.

    Returns:
        The images, and a line for each sort of thing in folders that was left out.

    Raises:
        DataError: a source does not exist or holds nothing; while images are given, for a store.
    """
    given: list[Iterable[str]] = []
    left_out: list[str] = []
    paths: list[Path] = []
    for source in sources:
        if is_url(source):
            given.append(images_at(source))
        elif source.lower().endswith(LISTS) and os.path.isfile(source):
            names, folder = read_names(Path(source)), Path(source).parent
            given.append(_absolute(name, folder) for name in names)
        else:
            paths.append(Path(source))
    if paths:
        found, left_out = images_to_inspect(paths)
        given.insert(0, (os.path.abspath(path) for path in found))
    return (name for one in given for name in one), left_out


def images_by_model(table: Path) -> list[tuple[str, str]]:
    """The images and model folders of a table, sorted by model, as absolute paths or URLs.

    Args:
        table: a CSV file with columns `image` and `model`. Paths are relative to its folder.

    Raises:
        DataError: the file cannot be read, lacks a column or a value, or has no rows.
    """
    read = read_csv_file(table)
    where = printable(table)
    for column in ("image", "model"):
        if column not in read.columns:
            raise DataError(
                f"{where} has no column {column!r}. Its columns have to be image,model."
            )
    image, model = read.columns.index("image"), read.columns.index("model")
    rows: list[tuple[str, str]] = []
    for number, row in read.rows:
        names = [row[image].strip(), row[model].strip()]
        if not all(names):
            raise DataError(f"{where}, line {number}: an image or its model is missing.")
        rows.append((_absolute(names[0], table.parent), _absolute(names[1], table.parent)))
    if not rows:
        raise DataError(f"{where} names no image.")
    return sorted(rows, key=lambda row: row[1])


def _absolute(name: str, folder: Path) -> str:
    return name if is_url(name) else os.path.abspath(folder / name)
