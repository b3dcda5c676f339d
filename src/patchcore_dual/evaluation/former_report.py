"""Keeps the report that a new one would replace."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

from patchcore_dual.utils.files import write_atomically

REPORT_NAME = "report.html"
FIGURES_NAME = "evaluation.json"


def keep_former_report(folder: Path, figures: dict[str, Any]) -> Path | None:
    """Copy `report.html` and `evaluation.json` beside themselves, if they are of something else.

    The copies are called `report.previous.html` and `evaluation.previous.json`, then
    `report.previous-2.html` and so on. A report of the same figures may be replaced, and so is one
    that has been copied already.

    Args:
        folder: of the report, or a folder that does not exist yet.
        figures: the new ones, as of `Evaluation.to_json`.

    Returns:
        The copy of the report, or of the figures where they are alone; None where nothing had to
        be kept.
    """
    former = [p for p in (folder / REPORT_NAME, folder / FIGURES_NAME) if p.is_file()]
    if not former or _are_figures_of(folder / FIGURES_NAME, figures):
        return None
    for number in itertools.count(1):
        suffix = ".previous" + (f"-{number}" if number > 1 else "")
        copies = [p.with_name(f"{p.stem}{suffix}{p.suffix}") for p in former]
        if all(not c.exists() or _are_alike(c, p) for c, p in zip(copies, former, strict=True)):
            break
    for copy, path in zip(copies, former, strict=True):
        write_atomically(copy, path.read_bytes())
    return copies[0]


def _are_figures_of(path: Path, figures: dict[str, Any]) -> bool:
    """Whether a file holds these figures, whenever they were measured."""
    with contextlib.suppress(OSError, ValueError):
        former = json.loads(path.read_text(encoding="utf-8"))
        new = json.loads(json.dumps(figures))
        return isinstance(former, dict) and {**former, "date": ""} == {**new, "date": ""}
    return False


def _are_alike(first: Path, second: Path) -> bool:
    return first.is_file() and first.read_bytes() == second.read_bytes()
