"""Reading CSV files as programs and spreadsheets write them."""

import codecs
import csv
import io
from dataclasses import dataclass
from pathlib import Path

from patchcore_dual.data.listing import printable
from patchcore_dual.errors import DataError

SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class CsvTable:
    """The rows of a CSV file.

    Attributes:
        path: the file, for messages.
        columns: the names in its first line.
        rows: each other line that is not empty, with its number in the file.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def read_csv_file(path: Path) -> CsvTable:
    """Read a CSV file in UTF-8, UTF-16 or cp1252, separated by comma, semicolon, tab or bar.

    The separator is the one that splits the first line most often, or the one that a first line
    `sep=;` names. Empty lines, and empty columns at the end of all lines, are left out.

    Raises:
        DataError: the file cannot be read, or a line has another number of values than the first.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "split.csv")
    ...     _ = path.write_bytes("group;split\\r\\nTür 1;train\\r\\n;\\r\\n".encode("utf-16"))
    ...     table = read_csv_file(path)
    >>> table.columns, table.rows
    (('group', 'split'), ((2, ('Tür 1', 'train')),))
    """
    shown = printable(path)
    text = _read_text(path)
    first, _, rest = text.partition("\n")
    skipped = 0
    if first.strip().lower().startswith("sep=") and len(first.strip()) == len("sep=;"):
        separator, text, skipped = first.strip()[-1], rest, 1
    else:
        separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        lines = [(reader.line_num + skipped, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{shown} cannot be read as a table ({error}).") from None
    lines = [(number, row) for number, row in lines if any(value.strip() for value in row)]
    if not lines:
        return CsvTable(path, (), ())
    header = [name.strip() for name in lines[0][1]]
    while header and not header[-1]:
        header.pop()
    rows = []
    for number, row in lines[1:]:
        values = row[: len(header)] + [value for value in row[len(header) :] if value.strip()]
        if len(values) != len(header):
            raise DataError(
                f"{shown}, line {number}: {len(values)} values where {len(header)} are expected."
            )
        rows.append((number, tuple(values)))
    return CsvTable(path, tuple(header), tuple(rows))


def read_names(path: Path) -> tuple[str, ...]:
    """Read names of images: the column `image` of a CSV file, or each line of any other text.

    Raises:
        DataError: the file cannot be read, or names nothing.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "exclude.txt")
    ...     _ = path.write_text("good/a, 1.png\\n\\ngood/b.png\\n")
    ...     plain = read_names(path)
    ...     _ = path.write_text("image;why\\ngood/c.png;blurred\\n")
    ...     plain, read_names(path)
    (('good/a, 1.png', 'good/b.png'), ('good/c.png',))
    """
    lines = [line.strip() for line in _read_text(path).split("\n")]
    names = [line for line in lines if line]
    head = names[1:2] if names and names[0].lower().startswith("sep=") else names[:1]
    for separator in SEPARATORS:
        if head and "image" in [name.strip(' "') for name in head[0].split(separator)]:
            table = read_csv_file(path)
            column = table.columns.index("image")
            names = [row[column].strip() for _, row in table.rows if row[column].strip()]
            break
    if not names:
        raise DataError(f"{printable(path)} names no image.")
    return tuple(names)


def _read_text(path: Path) -> str:
    try:
        return _decode(path.read_bytes())
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror}.") from None


def _decode(data: bytes) -> str:
    """The text of a file; cp1252, where every byte has a meaning, is the last resort."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif data[1:2] == b"\0":
        encodings = ["utf-16-le"]
    elif data[:1] == b"\0":
        encodings = ["utf-16-be"]
    else:
        encodings = ["utf-8-sig"]
    for encoding in [*encodings, "cp1252"]:
        try:
            return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
