"""The folder that a study writes: the page, every trial and every figure."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patchcore_dual.evaluation.study.page import study_page
from patchcore_dual.evaluation.study.study import Study
from patchcore_dual.evaluation.study.tables import summary_csv, trials_csv
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.pages import legible, write_page
from patchcore_dual.utils.staging import staged_folder

PAGE = "study.html"
MARKER = "study.json"  # every folder of a study has it


def write_study(
    study: Study,
    folder: Path,
    title: str,
    facts: Mapping[str, str],
    values: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> Path:
    """Write `study.html`, `trials.csv`, `summary.csv` and `study.json`, all or none.

    Args:
        study: what to write.
        folder: new or empty, or with `overwrite` that of an earlier study.
        title: the study's name.
        facts: of the page's head, by their names.
        values: for `study.json`.

    Returns:
        The path of the page.

    Raises:
        DataError: the folder may not be replaced, or cannot be written.
    """
    with staged_folder(folder, MARKER, "study", overwrite) as staging:
        write_page(staging / PAGE, legible(study_page(study, title, facts)))
        write_atomically(staging / "trials.csv", trials_csv(study))
        write_atomically(staging / "summary.csv", summary_csv(study))
        text = json.dumps(values, indent=1) + "\n"
        write_atomically(staging / MARKER, text.encode("ascii"))
    return folder / PAGE
