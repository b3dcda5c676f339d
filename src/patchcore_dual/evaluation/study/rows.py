"""The rows of the tables on a study's page, as HTML."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from patchcore_dual.data.listing import printable
from patchcore_dual.data.study_plan import MODEL
from patchcore_dual.evaluation.study.agreement import Kappa
from patchcore_dual.evaluation.study.attribute_study import (
    LIMITS,
    Measure,
    Share,
    is_shown,
    rating,
)
from patchcore_dual.evaluation.study.study import Study

_LETTERS = {"pass": "P", "reject": "R", "review": "v", "not inspected": "n"}


def limit_rows(study: Study) -> str:
    """What AIAG's limits say of each appraiser."""
    rows = []
    measures: Sequence[Measure] = list(LIMITS)
    for measure in measures:
        for a in study.figures.appraisers:
            figure = a.measures()[measure]
            grade = rating(measure, figure.value)
            counted = f"{figure.hits} of {figure.n}" if isinstance(figure, Share) else ""
            rows.append(
                _row(
                    measure.capitalize(),
                    who(a.name),
                    f"{value_text(figure)} <small>{counted}</small>",
                    interval_text(figure),
                    *map(escape, LIMITS[measure]),
                    f'<span class="{grade.replace(" ", "-")}">{grade}</span>',
                    "acceptable" if is_shown(measure, figure) else "not shown",
                    figures=(2, 3, 4, 5),
                )
            )
    return "".join(rows)


def agreement_rows(study: Study) -> str:
    """Shares of parts, and of trials for review, with their intervals."""
    f = study.figures
    rows: list[tuple[str, str, Share]] = []
    for a in f.appraisers:
        rows.append(("alike in all trials (repeatability)", who(a.name), a.repeatability))
    for a in f.appraisers:
        rows.append(("as the reference says, in all trials", who(a.name), a.effectiveness))
    for a in f.appraisers:
        rows.append(("defective, accepted at least once", who(a.name), a.ever_missed))
        rows.append(("good, rejected at least once", who(a.name), a.ever_alarmed))
        if a.reviews.hits:
            rows.append(("trials for review", who(a.name), a.reviews))
    if f.between is not None and f.all_effective is not None:
        rows.append(("alike by all, in all trials", "all", f.between))
        rows.append(("as the reference says, by all in all trials", "all", f.all_effective))
    return "".join(
        _row(
            what,
            name,
            f"{share.hits} of {share.n}",
            share_text(share.value),
            interval_text(share),
            figures=(2, 3, 4),
        )
        for what, name, share in rows
    )


def kappa_rows(study: Study) -> str:
    """Every kappa with its interval and standard error."""
    f = study.figures
    rows = [(f"{who(a.name)} and the reference", a.kappa_reference) for a in f.appraisers]
    rows += [(f"{who(a)} and {who(b)}", kappa) for (a, b), kappa in f.pairs.items()]
    if f.kappa_between is not None:
        rows.append(("all appraisers (Fleiss)", f.kappa_between))
    rows += [(f"the trials of {who(a.name)} (Fleiss)", a.kappa_within) for a in f.appraisers]
    return "".join(
        _row(
            name,
            value_text(kappa),
            interval_text(kappa),
            "–" if math.isnan(kappa.standard_error) else f"{kappa.standard_error:.3f}",
            figures=(1, 2, 3),
        )
        for name, kappa in rows
    )


def data_rows(study: Study) -> str:
    """The verdicts of all trials, a row for each part."""
    rows = []
    for i, part in enumerate(study.parts):
        cells = []
        for a in range(len(study.appraisers)):
            letters = []
            for trial, counted in zip(study.trials[a][i], study.verdicts[a, i], strict=True):
                letter = _LETTERS[study.verdict_of(trial)]
                is_wrong = counted != study.reference[i]
                letters.append(f'<span class="wrong">{letter}</span>' if is_wrong else letter)
            cells.append(" ".join(letters))
        reference = "defect" if study.reference[i] else "good"
        rows.append(_row(escape(printable(part)), reference, *cells))
    return "".join(rows)


def who(name: str) -> str:
    """An appraiser as it is called on the page, in HTML."""
    return "the model" if name == MODEL else escape(printable(name))


def share_text(value: float) -> str:
    """A share as it is printed.

    >>> share_text(0.84), share_text(0.0631), share_text(math.nan)
    ('84.0 %', '6.3 %', '–')
    """
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def interval_text(figure: Share | Kappa) -> str:
    """An interval as it is printed."""
    if math.isnan(figure.low):
        return "–"
    if isinstance(figure, Kappa):
        return f"{figure.low:.2f} to {figure.high:.2f}"
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f} %"


def value_text(figure: Share | Kappa) -> str:
    """A value as it is printed."""
    if isinstance(figure, Kappa):
        return "–" if math.isnan(figure.value) else f"{figure.value:.2f}"
    return share_text(figure.value)


def _row(*cells: str, figures: Iterable[int] = ()) -> str:
    numeric = set(figures)
    inside = (
        f'<td class="n">{cell}</td>' if i in numeric else f"<td>{cell}</td>"
        for i, cell in enumerate(cells)
    )
    return f"<tr>{''.join(inside)}</tr>"
