"""Values as cells of a CSV file that may be opened as a spreadsheet."""

import unicodedata
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(value: Any) -> Any:
    """The value for `csv.writer`; a text that looks like a formula begins with an apostrophe.

    >>> cell("=1+1"), cell("part 7"), cell(-0.5), cell(True)
    ("'=1+1", 'part 7', -0.5, 'true')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and unicodedata.normalize("NFKC", value[:1]).startswith(_FORMULA):
        return f"'{value}"  # wide signs are signs to spreadsheets in Chinese or Japanese
    return value
