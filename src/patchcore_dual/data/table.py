"""The rows of `manifest.csv` as samples, and samples as rows."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from patchcore_dual.data.csv_files import read_csv_file
from patchcore_dual.data.sample import Sample
from patchcore_dual.errors import DataError

COLUMNS = tuple(f.name for f in fields(Sample) if f.name != "extra")
REQUIRED = ("image", "label", "split")


def to_csv(samples: Sequence[Sample]) -> bytes:
    """`manifest.csv` of some samples, UTF-8: `COLUMNS`, then the unknown columns in their order."""
    extra = list(dict.fromkeys(column for s in samples for column in s.extra))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *extra])
    for s in samples:
        provenance = json.dumps(s.provenance, sort_keys=True) if s.provenance else ""
        known = (getattr(s, c) for c in COLUMNS if c != "provenance")
        writer.writerow([*known, provenance, *(s.extra.get(c, "") for c in extra)])
    return text.getvalue().encode(errors="backslashreplace")


def read_csv(path: Path) -> tuple[Sample, ...]:
    """The samples of a `manifest.csv`.

    Columns may be in any order. Empty values of optional columns, and optional columns that are
    missing, have the defaults of `Sample` (no mask, real, ...); unknown columns are kept in
    `Sample.extra`.

    Raises:
        DataError: a required column is missing, or a row does not fit the columns; with file and
            line.
    """
    table = read_csv_file(path)
    _check_header(table.columns, f"{path}, line 1")
    samples = tuple(
        _read_row(table.columns, row, f"{path}, line {number}") for number, row in table.rows
    )
    if not samples:
        raise DataError(f"{path} lists no images. Prepare the data set again.")
    return samples


def _check_header(header: Sequence[str], where: str) -> None:
    if missing := _joined(c for c in REQUIRED if c not in header):
        raise DataError(
            f"{where}: no column {missing} (there are {_joined(header) or 'none'}). "
            f"{_joined(REQUIRED)} are required, separated by commas."
        )
    if twice := _joined(sorted({c for c in header if header.count(c) > 1})):
        raise DataError(f"{where}: more than one column {twice}. Remove all but one.")


def _read_row(header: Sequence[str], row: Sequence[str], where: str) -> Sample:
    values = dict(zip(header, row, strict=True))
    if values["label"] not in ("positive", "negative"):
        raise DataError(f"{where}: label is {values['label']!r}; use positive or negative.")
    if values["split"] not in ("train", "test"):
        raise DataError(f"{where}: split is {values['split']!r}; use train or test.")
    if not values["image"]:
        raise DataError(f"{where}: the image path is empty.")
    # An empty value means the default.
    known: dict[str, Any] = {"mask": ""} | {c: values[c] for c in COLUMNS if values.get(c)}
    for column in ("image", "mask"):
        known[column] = known[column].replace("\\", "/")
        path = Path(known[column])
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{where}: {column} has to be a path inside the folder.")
    known["provenance"] = _read_provenance(values.get("provenance", ""), where)
    extra = {column: value for column, value in values.items() if column not in COLUMNS}
    try:
        return Sample(**known, extra=extra)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _read_provenance(text: str, where: str) -> dict[str, Any]:
    try:
        provenance = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: provenance is not JSON ({error}).") from None
    if not isinstance(provenance, dict):
        raise DataError(f"{where}: provenance has to be a JSON object, in braces.")
    return provenance


def _joined(columns: Iterable[str]) -> str:
    return ",".join(columns)
