"""What an attribute study is made of: parts, their references, and who judged each how often."""

import os
from dataclasses import dataclass
from pathlib import Path

from patchcore_dual.data.csv_files import read_csv_file
from patchcore_dual.data.listing import find_images, natural_key, printable
from patchcore_dual.data.mask_names import name_key
from patchcore_dual.errors import DataError, together
from patchcore_dual.scoring.thresholds import Verdict

MODEL = "model"
"""The appraiser whose verdicts the model gives; rows without an appraiser are its own."""

_REQUIRED = ("part", "reference")
_COLUMNS = ("image", *_REQUIRED, "trial", "appraiser", "verdict")
_REFERENCES = {"good": False, "defect": True}
_VERDICTS: tuple[Verdict, ...] = ("pass", "review", "reject")
_LAYOUT = "Put the photographs of each part into good/PART/ or defect/PART/, or add --parts FILE."


@dataclass(frozen=True)
class Trial:
    """One judgement of one part by one appraiser.

    Attributes:
        part: the part's name.
        appraiser: who judges; `MODEL` for the model.
        label: which trial of this part by this appraiser it is; "" where only the order says so.
        image: the photograph; None where somebody looked at the part itself.
        verdict: of an appraiser other than the model; None for the model.
        where: where the trial is listed, for messages.
    """

    part: str
    appraiser: str
    label: str
    image: Path | None
    verdict: Verdict | None
    where: str


@dataclass(frozen=True)
class StudyPlan:
    """All trials of a study.

    Attributes:
        is_defective: by the name of a part, in order, whether the reference says that it is.
        trials: in order.
    """

    is_defective: dict[str, bool]
    trials: tuple[Trial, ...]

    @property
    def images(self) -> list[Path]:
        """The photographs that the model judges, in order."""
        return [t.image for t in self.trials if t.appraiser == MODEL and t.image is not None]


def read_plan(parts: Path | None, images: Path | None) -> StudyPlan:
    """Read the trials of a study from a table, or from folders.

    The table is a CSV file with columns `part` and `reference` (good or defect), `image` for the
    photographs that the model judges, and optionally `trial`, `appraiser` and `verdict` (pass,
    review or reject, for appraisers other than the model). Without a table the photographs lie in
    `images`/good/PART/ and `images`/defect/PART/, one for each trial.

    Args:
        parts: the table; None for folders.
        images: the folder that images of the table are relative to, by default the table's own; or
            the folder with good/ and defect/.

    Raises:
        DataError: what is listed makes no study; all problems of a table at once, with their lines.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     table = Path(folder, "parts.csv")
    ...     _ = table.write_text("image,part,reference\\n1.png,A,good\\n2.png,A,good\\n")
    ...     plan = read_plan(table, None)
    >>> plan.is_defective, [(t.part, t.appraiser, t.image.name) for t in plan.trials]
    ({'A': False}, [('A', 'model', '1.png'), ('A', 'model', '2.png')])
    """
    if parts is not None:
        return _read_table(parts, images)
    if images is None:
        raise DataError("no photographs are named. Name the folder with good/ and defect/.")
    return _read_folders(images)


def _read_table(path: Path, images: Path | None) -> StudyPlan:
    table = read_csv_file(path)
    shown = printable(path)
    _check_columns(table.columns, shown)
    problems: list[DataError] = []
    references: dict[str, tuple[bool, int]] = {}
    trials: list[Trial] = []
    for number, row in table.rows:
        values = {c: v.strip() for c, v in zip(table.columns, row, strict=True)}
        where = f"{shown}, line {number}"
        try:
            trial = _read_row(values, images or path.parent, where)
            is_defective = _reference(values, where)
            first, line = references.setdefault(trial.part, (is_defective, number))
            if first != is_defective:
                raise DataError(
                    f"{where}: the reference of part {trial.part} is {values['reference']}, in "
                    f"line {line} it is the other. A part has one reference."
                )
        except DataError as error:
            problems.append(error)
            continue
        trials.append(trial)
    problems += _repeated(trials)
    if problems:
        raise together(problems)
    if not trials:
        raise DataError(f"{shown} lists no trials.")
    return StudyPlan({part: known for part, (known, _) in references.items()}, tuple(trials))


def _check_columns(columns: tuple[str, ...], shown: str) -> None:
    there = ", ".join(columns) or "none"
    if missing := [c for c in _REQUIRED if c not in columns]:
        raise DataError(f"{shown}, line 1: no column {', '.join(missing)} (there are {there}).")
    if unknown := [c for c in columns if c not in _COLUMNS]:
        raise DataError(
            f"{shown}, line 1: unknown column {', '.join(unknown)}. Known are "
            f"{', '.join(_COLUMNS)}; remove the others."
        )
    if len(set(columns)) < len(columns):
        raise DataError(f"{shown}, line 1: a column is there twice ({there}). Remove one.")


def _read_row(values: dict[str, str], folder: Path, where: str) -> Trial:
    if not values["part"]:
        raise DataError(f"{where}: the part has no name.")
    appraiser = values.get("appraiser") or MODEL
    image, verdict = values.get("image", ""), values.get("verdict", "")
    if "trial" in values and not values["trial"]:
        raise DataError(f"{where}: the trial is empty. Number the trials of each part.")
    if appraiser == MODEL and not image:
        raise DataError(f"{where}: no image. The model needs a photograph for each trial.")
    if appraiser == MODEL and verdict:
        raise DataError(
            f"{where}: a verdict without an appraiser. Those of the model come from inspecting; "
            "name the appraiser who gave this one."
        )
    if appraiser != MODEL and verdict not in _VERDICTS:
        given = f"the verdict is {verdict!r}" if verdict else "no verdict"
        raise DataError(f"{where}: {given}; use {', '.join(_VERDICTS[:-1])} or {_VERDICTS[-1]}.")
    return Trial(
        values["part"],
        appraiser,
        values.get("trial", ""),
        folder / image.replace("\\", "/") if image else None,
        next((v for v in _VERDICTS if v == verdict), None),
        where,
    )


def _reference(values: dict[str, str], where: str) -> bool:
    try:
        return _REFERENCES[values["reference"].lower()]
    except KeyError:
        raise DataError(
            f"{where}: the reference is {values['reference']!r}; use {' or '.join(_REFERENCES)}."
        ) from None


def _repeated(trials: list[Trial]) -> list[DataError]:
    """Images of the model, and trials of an appraiser, that are listed twice."""
    problems: list[DataError] = []
    images: dict[str, Trial] = {}
    labels: dict[tuple[str, str, str], Trial] = {}
    for trial in trials:
        if trial.appraiser == MODEL and trial.image is not None:
            first = images.setdefault(os.path.abspath(trial.image), trial)
            if first is not trial:
                problems.append(
                    DataError(
                        f"{trial.where}: {printable(trial.image)} is there before ({first.where}). "
                        "Each trial needs a photograph of its own."
                    )
                )
        if trial.label:
            first = labels.setdefault((trial.appraiser, trial.part, trial.label), trial)
            if first is not trial:
                problems.append(
                    DataError(
                        f"{trial.where}: trial {trial.label} of part {trial.part} is there before "
                        f"({first.where})."
                    )
                )
    return problems


def _read_folders(top: Path) -> StudyPlan:
    if not top.is_dir():
        raise DataError(f"{printable(top)} is not a folder.")
    is_defective: dict[str, bool] = {}
    trials: list[Trial] = []
    for kind in sorted((p for p in top.iterdir() if p.is_dir()), key=natural_key):
        reference = _REFERENCES.get(name_key(kind.name))
        if reference is None:
            continue
        for part in sorted(kind.iterdir(), key=natural_key):
            if not part.is_dir():
                if not part.name.startswith("."):
                    raise DataError(f"{printable(part)} lies in no folder of a part. {_LAYOUT}")
                continue
            images = find_images(part).images
            if not images:
                continue
            name = printable(part.name)
            if name in is_defective:
                raise DataError(
                    f"part {name} is in good/ and in defect/ of {printable(top)}. A part has one "
                    "reference: move its photographs together."
                )
            is_defective[name] = reference
            trials += [Trial(name, MODEL, "", i, None, printable(i)) for i in images]
    if not trials:
        raise DataError(f"{printable(top)} has no photographs of parts. {_LAYOUT}")
    return StudyPlan(is_defective, tuple(trials))
