"""Fitting one of many products, in a process of its own.

A product that takes too much memory, or whose fit crashes, so ends alone, and its memory is its
own. `fit` resumes by itself what an interrupted run began.
"""

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

# The process ends with the one that started it, whatever ends that: the pipe it reads is closed.
_ENDING_WITH_ITS_PARENT = """
import os, threading
def end_with_parent():
    os.read(0, 1)
    os._exit(130)
threading.Thread(target=end_with_parent, daemon=True).start()
"""


class FitCommand(NamedTuple):
    """How to fit one product.

    Attributes:
        program: Python that runs the command line.
        arguments: of the command line, which make it print one JSON object.
    """

    program: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one fit.

    Attributes:
        described: what `fit --json` printed; None where it failed.
        error: why it failed; empty where it did not.
        seconds: that it took, the start of its process included.
        node: the machine.
    """

    described: dict[str, Any] | None
    error: str
    seconds: float
    node: str


def fit_product(command: FitCommand) -> Outcome:
    """Run `fit` in a process of its own and wait for it.

    >>> echo = FitCommand("import sys; print(sys.argv[1])", ('{"threshold": 2}',))
    >>> fit_product(echo).described
    {'threshold': 2}
    """
    line = [sys.executable, "-c", _ENDING_WITH_ITS_PARENT + command.program, *command.arguments]
    started = time.perf_counter()
    reading, writing = os.pipe()
    try:
        with open(reading, "rb") as stdin:
            process = subprocess.Popen(
                line,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
        out, err = process.communicate()
    finally:
        os.close(writing)
    seconds = time.perf_counter() - started
    described = _object(out) if process.returncode == 0 else None
    error = "" if described is not None else _reason(process.returncode, err)
    return Outcome(described, error, seconds, platform.node())


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _reason(code: int, err: str) -> str:
    """The message of a command that failed, or what the system says of its end."""
    _, found, message = err.rpartition("error: ")
    if found:
        return message.strip()
    lines = err.strip().splitlines()
    last = f" It said last: {lines[-1].strip()}" if lines else ""
    if code < 0:
        return f"the process was killed by signal {-code}; most often, memory was short.{last}"
    return f"the process ended with code {code}.{last}"
