"""The CSV files of a study: every trial, and every figure."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from patchcore_dual.data.listing import printable
from patchcore_dual.evaluation.study.agreement import Kappa
from patchcore_dual.evaluation.study.attribute_study import Share, is_shown, rating
from patchcore_dual.evaluation.study.study import Study
from patchcore_dual.utils.cells import cell

_COUNTED = ("pass", "reject", "review")
_TRIALS = (
    *("appraiser", "part", "reference", "trial", "image", "verdict", "counted_as"),
    *("score", "review_threshold", "threshold", "is_foreign"),
)
_SUMMARY = (
    *("measure", "appraiser", "with", "value", "low_95", "high_95", "standard_error"),
    *("hits", "n", "rating", "shown_with_95_percent"),
)


def trials_csv(study: Study) -> bytes:
    """Every trial with its verdict, and of the model's the score and its thresholds."""
    rows: list[Sequence[object]] = []
    for who, of_parts, counted in zip(study.appraisers, study.trials, study.verdicts, strict=True):
        for i, trials in enumerate(of_parts):
            for number, trial in enumerate(trials, 1):
                record = study.records.get(Path(trial.image)) if trial.image else None
                is_own = trial.verdict is None and record is not None
                rows.append(
                    [
                        who,
                        study.parts[i],
                        "defect" if study.reference[i] else "good",
                        trial.label or number,
                        printable(trial.image) if trial.image else "",
                        study.verdict_of(trial),
                        _COUNTED[counted[i, number - 1]],
                        *(
                            (record.score, record.review_threshold, record.threshold)
                            if record is not None and is_own
                            else ("", "", "")
                        ),
                        record.is_foreign if record is not None and is_own else "",
                    ]
                )
    return _csv(_TRIALS, rows)


def summary_csv(study: Study) -> bytes:
    """Every figure with its interval."""
    figures = study.figures
    rows = []
    for a in figures.appraisers:
        rated = {id(figure): measure for measure, figure in a.measures().items()}
        for name, figure in (
            ("repeatability", a.repeatability),
            ("effectiveness", a.effectiveness),
            ("miss rate", a.misses),
            ("false-alarm rate", a.false_alarms),
            ("share for review", a.reviews),
            ("parts missed at least once", a.ever_missed),
            ("parts falsely rejected at least once", a.ever_alarmed),
            ("kappa within", a.kappa_within),
            ("kappa", a.kappa_reference),
        ):
            measure = rated.get(id(figure))
            grade = (rating(measure, figure.value), is_shown(measure, figure)) if measure else ()
            other = "reference" if name in ("effectiveness", "kappa") else ""
            rows.append(_row(name, a.name, other, figure, grade))
    for name, share in (
        ("agreement of all", figures.between),
        ("agreement of all with the reference", figures.all_effective),
    ):
        if share is not None:
            rows.append(_row(name, "all", "", share))
    rows += [_row("kappa", a, b, kappa) for (a, b), kappa in figures.pairs.items()]
    if figures.kappa_between is not None:
        rows.append(_row("kappa (Fleiss)", "all", "", figures.kappa_between))
    if (s := study.scores) is not None:
        deviation = [_number(v) for v in (s.repeatability, s.low, s.high)]
        rows.append(["score repeatability (sigma)", study.appraisers[0], "", *deviation])
        zone = [_number(v) for v in (s.zone[1] - s.zone[0], *s.zone)]
        rows.append(["grey zone (width, ends)", study.appraisers[0], "", *zone])
    width = len(_SUMMARY)
    return _csv(_SUMMARY, [[*row, *[""] * (width - len(row))] for row in rows])


def _row(
    name: str, who: str, other: str, figure: Share | Kappa, grade: tuple[object, ...] = ()
) -> list[object]:
    ends = [_number(v) for v in (figure.value, figure.low, figure.high)]
    if isinstance(figure, Share):
        return [name, who, other, *ends, "", figure.hits, figure.n, *grade]
    return [name, who, other, *ends, _number(figure.standard_error), "", "", *grade]


def _number(value: float) -> float | str:
    return float(f"{value:.6g}") if math.isfinite(value) else ""


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode(errors="backslashreplace")
