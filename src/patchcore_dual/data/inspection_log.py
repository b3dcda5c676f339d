"""Reads a log: the lines that `inspect --jsonl` printed, or what `inspect --results` wrote."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from patchcore_dual.data.listing import printable
from patchcore_dual.data.results_folder import is_results_folder, read_results
from patchcore_dual.errors import DataError

_OF_ROWS = ["path", "verdict", "model", "appearance", "error"]


def read_log(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line that is not empty with its number, in UTF-8 or in UTF-16 as PowerShell writes it.

    Every line has a "verdict" or an "error". A folder of results gives its rows in their order.

    Raises:
        DataError: the file cannot be read, or a line is no result of an inspection.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     log = Path(folder, "log.jsonl")
    ...     _ = log.write_text('{"path": "7.png", "verdict": "pass"}', "utf-16")
    ...     list(read_log(log))
    [(1, {'path': '7.png', 'verdict': 'pass'})]
    """
    shown = printable(path)
    if is_results_folder(path):
        for number, row in enumerate(read_results(path, _OF_ROWS), 1):
            if row["error"] is None:
                del row["error"]
            yield number, row
        return
    try:
        with path.open("rb") as file:
            is_wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
        encoding = "utf-16" if is_wide else "utf-8-sig"
        with path.open(encoding=encoding, errors="replace", newline="\n") as lines:
            for number, text in enumerate(lines, 1):
                if text.strip():
                    yield number, _result(text, f"{shown}, line {number}")
    except OSError as error:
        raise DataError(f"{shown} cannot be read: {error.strerror}.") from None


def _result(text: str, where: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        if not text.endswith("\n"):
            raise DataError(
                f"{where} breaks off: the file was cut. Leave the last line out."
            ) from None
        line = None
    if not isinstance(line, dict) or not ("error" in line or "verdict" in line):
        raise DataError(
            f"{where} is no line that `inspect --jsonl` printed. Leave it out, or give another "
            "file."
        )
    return line
