"""The page of a study: one HTML file without anything from a network, to be printed on A4.

It is made without Jinja2, which a PC on the line does not have.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from patchcore_dual.data.listing import printable
from patchcore_dual.data.study_plan import MODEL
from patchcore_dual.evaluation.study.attribute_study import (
    REJECT,
    Rating,
    parts_to_show,
    rating,
)
from patchcore_dual.evaluation.study.chart import score_chart
from patchcore_dual.evaluation.study.pictures import trial_picture
from patchcore_dual.evaluation.study.rows import (
    agreement_rows,
    data_rows,
    kappa_rows,
    limit_rows,
    share_text,
    who,
)
from patchcore_dual.evaluation.study.study import Study

MOST_PICTURED = 40  # parts that are shown with pictures; the table lists all

_TEMPLATE = Path(__file__).parent / "templates" / "study.html"
_REVIEW = {
    "reject": "A verdict “review” counts as reject, since the part is not accepted.",
    "pass": "A verdict “review” counts as pass, as if the part were used.",
    "apart": "A verdict “review” is a verdict of its own: not what the reference says, and neither "
    "a miss nor a false alarm.",
}


def study_page(study: Study, title: str, facts: Mapping[str, str]) -> str:
    """The page as HTML.

    Args:
        study: all trials and figures.
        title: the study's name.
        facts: of the head, by their names: date, model, who.
    """
    page = Template(_TEMPLATE.read_text("utf-8"))
    return page.substitute(
        title=escape(title),
        facts="".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(printable(value))}</dd></div>"
            for name, value in {**facts, **_counts(study)}.items()
        ),
        lead=escape(lead(study)),
        warnings=_warnings(study.warnings),
        limits=limit_rows(study),
        review=_REVIEW[study.review],
        needed=escape(_needed(study)),
        agreement=agreement_rows(study),
        kappas=kappa_rows(study),
        scores=_scores(study),
        disagreeing=_disagreeing(study),
        appraisers="".join(f"<th>{who(name)}</th>" for name in study.appraisers),
        columns=2 if len(study.appraisers) < 3 else 1,
        data=data_rows(study),
    )


def lead(study: Study) -> str:
    """What AIAG's limits say of each appraiser, in a sentence each."""
    sentences = []
    for a in study.figures.appraisers:
        by_rating: dict[Rating, list[str]] = {}
        for measure, figure in a.measures().items():
            by_rating.setdefault(rating(measure, figure.value), []).append(measure)
        said = "; ".join(
            f"{grade} by {_listed(by_rating[grade])}"
            for grade in ("not acceptable", "marginal", "acceptable", "undefined")
            if grade in by_rating
        )
        name = "The model" if a.name == MODEL else a.name
        sentences.append(f"{name} is {said}.")
    return " ".join(sentences)


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _needed(study: Study) -> str:
    """How many parts would show an error rate that is acceptable so far, but not surely so."""
    f = study.figures
    lines = []
    for measure, limit, n, kind, word in (
        ("miss rate", 0.02, f.n_defective, "defective", "miss"),
        ("false-alarm rate", 0.05, f.n_good, "good", "false alarm"),
    ):
        if n < (enough := parts_to_show(limit)):
            highest = 1 - 0.025 ** (1 / n)
            lines.append(
                f"With {n} {kind} part{'s' if n != 1 else ''}, even no {word} at all shows only "
                f"that the {measure} is below {share_text(highest)}; {enough} without one would "
                f"show {share_text(limit)}."
            )
    return " ".join(lines)


def _counts(study: Study) -> dict[str, str]:
    f = study.figures
    return {
        "Parts": f"{f.n_good + f.n_defective}: {f.n_good} good, {f.n_defective} defective",
        "Trials of each part": str(f.n_trials),
        "Review counts as": study.review if study.review != "apart" else "a verdict of its own",
    }


def _warnings(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    inside = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f'<div class="warnings">{inside}</div>'


def _scores(study: Study) -> str:
    s = study.scores
    if s is None:
        return ""
    records = [[study.records[Path(t.image or "")] for t in trials] for trials in study.trials[0]]
    first = records[0][0]
    names = {"threshold": first.threshold}
    if first.review_threshold < first.threshold:
        names["review threshold"] = first.review_threshold
    values = np.array([[record.score for record in of_part] for of_part in records])
    known = np.isfinite(s.mean)
    if not known.any():
        return "<h2>Scores of the model</h2><p>None: no part was inspected in every trial.</p>"
    chart = score_chart(values[known], study.reference[known] == REJECT, names, s.zone)
    lines = [
        f"Repeated photographs of one part differ by a standard deviation of "
        f"{s.repeatability:.4g} (95 % interval {s.low:.4g} to {s.high:.4g}), in units of the "
        f"score, pooled over all parts.",
        f"{s.n_near} of {len(study.parts)} parts have a mean within three standard deviations of "
        f"{'a' if len(s.limits) > 1 else 'the'} limit "
        f"({', '.join(f'{limit:.4g}' for limit in s.limits)}), so that their verdict can change "
        "from one photograph to the next.",
    ]
    if all(map(math.isfinite, s.zone)):
        width = s.zone[1] - s.zone[0]
        lines.append(
            f"The grey zone by signal detection, from the last part that is always accepted to the "
            f"first that is always rejected, is {s.zone[0]:.4g} to {s.zone[1]:.4g}: {width:.4g} "
            f"wide, {width / s.repeatability:.1f} standard deviations."
            if s.repeatability
            else f"The grey zone by signal detection is {s.zone[0]:.4g} to {s.zone[1]:.4g}."
        )
    if not known.all():
        lines.append(
            f"{(~known).sum()} parts are left out here, since a photograph could not be aligned "
            "and was not inspected. Such a verdict is never counted as pass."
        )
    foreign = sum(record.is_foreign for of_part in records for record in of_part)
    if foreign:
        lines.append(
            f"{foreign} photographs are rejected whatever their score, since they are not like the "
            "parts that the model was fitted on."
        )
    text = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f"<h2>Scores of the model</h2><figure>{chart}</figure>{text}"


def _disagreeing(study: Study) -> str:
    parts = study.disagreeing()
    if not parts:
        return "<p>None: every verdict is as the reference says.</p>"
    cards = []
    for i in parts[:MOST_PICTURED]:
        reference = "defective" if study.reference[i] else "good"
        said = "; ".join(
            f"of {who(name)}: {', '.join(study.verdict_of(t) for t in study.trials[a][i])}"
            for a, name in enumerate(study.appraisers)
        )
        cards.append(
            f'<div class="part-card"><p><strong>{escape(printable(study.parts[i]))}</strong>, '
            f"{reference} by the reference. Verdicts {said}.{_spread(study, i)}</p>"
            f"{_pictures(study, i)}</div>"
        )
    if len(parts) > MOST_PICTURED:
        cards.append(f"<p>{len(parts) - MOST_PICTURED} more, in the table below.</p>")
    return f'<div class="cards">{"".join(cards)}</div>'


def _spread(study: Study, i: int) -> str:
    s = study.scores
    if s is None or not np.isfinite(s.mean[i]):
        return ""
    relative = s.relative_spread[i]
    times = f"{relative:.2g} times" if math.isfinite(relative) else "far more than"
    return (
        f" Mean score {s.mean[i]:.4g}, {s.distance[i]:.3g} from the limit; the trials spread over "
        f"{s.spread[i]:.3g}, {times} that distance."
    )


def _pictures(study: Study, i: int) -> str:
    if study.scores is None:
        return ""
    figures = []
    for number, trial in enumerate(study.trials[0][i], 1):
        record = study.records[Path(trial.image or "")]
        picture = trial_picture(record)
        image = f'<img alt="" src="data:image/jpeg;base64,{picture}">' if picture else ""
        figures.append(
            f"<figure>{image}<figcaption>{escape(trial.label or str(number))}: {record.verdict}, "
            f"{record.score:.4g}</figcaption></figure>"
        )
    return f'<div class="pictures">{"".join(figures)}</div>'
