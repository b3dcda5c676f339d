"""What every command prints with: progress and messages to standard error, JSON to output."""

import codecs
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from patchcore_dual.utils.progress import Progress as ProgressFunction

console = Console(stderr=True, highlight=False)


# How characters that commands print look where the code page of the output lacks them.
_IN_ASCII = {
    **{"≤": "<=", "≥": ">=", "±": "+/-", "×": "x", "−": "-", "–": "-", "…": "...", "→": "->"},
    **{
        "≈": "~",
        "²": "^2",
        "·": "*",
        "½": "1/2",
        "√": "sqrt ",
        "μ": "u",
        "•": "*",
        "│": "|",
        "†": "+",
    },
}


def print_in_any_code_page() -> None:
    """Let standard output and error print any character, whatever their encoding is.

    On Windows, output to a file or a pipe is in a code page such as cp1252, which lacks "≤". What
    it lacks is written in ASCII: signs by their likeness, letters of file names as `\\u4e2d`.
    """
    codecs.register_error("in-ascii", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="in-ascii")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    replaced = (_IN_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking)
    return "".join(replaced), error.end


def print_json(value: Any) -> None:
    """Print one JSON object on standard output; in ASCII where the output's encoding needs it."""
    print(_json(value, indent=2))


def print_json_line(value: Any) -> None:
    """Print one JSON object as a line of standard output, at once."""
    print(_json(value), flush=True)


def _json(value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=indent)
    return text


@contextmanager
def progress_bar() -> Iterator[ProgressFunction]:
    """Show a bar for each stage, and the library's messages, on standard error.

    Gives a function (stage, done, total) that moves the bars.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    logger, handler = logging.getLogger("patchcore_dual"), _ConsoleHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            tasks: dict[str, Any] = {}

            def report(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bar.add_task(stage, total=total)
                bar.update(tasks[stage], completed=done, total=total)

            yield report
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _ConsoleHandler(logging.Handler):
    """Prints log messages between the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(record.getMessage(), markup=False, soft_wrap=True)
