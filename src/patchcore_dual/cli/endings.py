"""How commands end: each kind of end has an exit code of its own, and none ends in a traceback.

| code | meaning |
|---|---|
| 0 | done |
| 1 | an answer: `inspect --strict` rejected an image, `audit` found a leak |
| 2 | the input, an option or the machine (a full disk) is at fault; the message says what to do |
| 70 | the program is at fault (EX_SOFTWARE of sysexits.h) |
| 130 | Ctrl-C |
| 141 | whatever read the output closed it, as `head` does |
"""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

import typer

from patchcore_dual.errors import PatchCoreDualError

ASK_FOR_TRACEBACK = "PATCHCORE_DUAL_TRACEBACK"
PROBLEM, FAULT, INTERRUPTED, OUTPUT_CLOSED = 2, 70, 130, 141


@contextlib.contextmanager
def one_exit_code_each(when_interrupted: Callable[[], str]) -> Iterator[None]:
    """Turn whatever ends a command early into one line on standard error and an exit code.

    Args:
        when_interrupted: what to say after Ctrl-C, unless the KeyboardInterrupt has a text.
    """
    try:
        try:
            yield
        finally:  # now rather than when Python ends, where a failure could not be handled
            if sys.stdout is not None:
                sys.stdout.flush()
    except PatchCoreDualError as error:
        _end(PROBLEM, f"error: {error}")
    except KeyboardInterrupt as error:
        _end(INTERRUPTED, f"Interrupted. {error if error.args else when_interrupted()}".rstrip())
    except (typer.Abort, EOFError):
        _end(PROBLEM, "Aborted.")
    except BrokenPipeError:
        _discard_output()
        _end(OUTPUT_CLOSED)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # Rich would exit with 1
            _discard_output()
            _end(OUTPUT_CLOSED)
        raise
    except OSError as error:  # a full disk, a folder that may not be written
        _discard_output()
        what = error.filename or "reading or writing failed"
        _end(PROBLEM, f"error: {what}: {error.strerror or error}.")
    except MemoryError as error:
        _end(PROBLEM, f"error: not enough memory. {error}".rstrip())
    except Exception as error:
        if hasattr(error, "exit_code"):  # typer's own: an answer, or wrong usage
            raise
        _end(*_module_missing(error) or (FAULT, _describe_fault(error)))


def _end(code: int, message: str = "") -> NoReturn:
    with contextlib.suppress(OSError):
        if os.environ.get(ASK_FOR_TRACEBACK) and code != OUTPUT_CLOSED:
            traceback.print_exc()
        if message:
            print(message, file=sys.stderr, flush=True)
    raise SystemExit(code)


def _module_missing(error: Exception) -> tuple[int, str] | None:
    """The end for an optional dependency that is not installed."""
    from patchcore_dual.utils.dependencies import EXTRAS, missing

    name = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return (PROBLEM, f"error: {missing(name)}") if name in EXTRAS else None


def _describe_fault(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    return (
        f"error: {type(error).__name__}: {text} ({os.path.basename(place.filename)}, line "
        f"{place.lineno}). This is a fault of the program: please report it, with the traceback "
        f"that {ASK_FOR_TRACEBACK}=1 shows."
    )


def _discard_output() -> None:
    """Send what is still to be printed nowhere, so that Python does not fail over it at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
