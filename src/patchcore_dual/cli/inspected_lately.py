"""The files that a model inspected lately, by what `inspect --jsonl` printed."""

import json
from collections import deque
from pathlib import Path

from patchcore_dual.errors import DataError, SettingsError


def inspected_lately(log: Path, last: int) -> list[Path]:
    """The files that were inspected last, each once.

    Args:
        log: a file of JSON lines, each with a `path`.
        last: how many lines, counted from the end.

    Raises:
        DataError: for a file that cannot be read, or is none of that kind.
        SettingsError: for fewer than one.
    """
    if last < 1:
        raise SettingsError(f"--last is {last}; give a number of images, as 100.")
    try:
        with log.open(encoding="utf-8") as file:
            lines = deque(file, maxlen=last)
        return list(dict.fromkeys(Path(json.loads(line)["path"]) for line in lines if line.strip()))
    except OSError as error:
        raise DataError(f"{log} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{log} is not what `inspect --jsonl` prints: one JSON object a line, with a path."
        ) from None
