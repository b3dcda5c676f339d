"""A whole study: the trials as arrays, their figures, and what has to be said about them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.listing import natural_key
from patchcore_dual.data.study_plan import MODEL, StudyPlan, Trial
from patchcore_dual.errors import DataError, together
from patchcore_dual.evaluation.study.attribute_study import (
    ACCEPT,
    FEW_OF_A_KIND,
    FEWEST_PARTS,
    FEWEST_TRIALS,
    PARTS,
    REJECT,
    REVIEW,
    TRIALS,
    AttributeStudy,
    Share,
    Verdicts,
    attribute_study,
    is_shown,
    rating,
)
from patchcore_dual.evaluation.study.records import Record
from patchcore_dual.evaluation.study.scores import ScoreFigures, score_figures

Review = Literal["reject", "pass", "apart"]
_COUNTED = {"reject": REJECT, "pass": ACCEPT, "apart": REVIEW}


@dataclass(frozen=True, eq=False)
class Study:
    """The trials of a study and their figures.

    Attributes:
        parts: P names, good parts first.
        reference: int `[P]`.
        appraisers: A names, the model first.
        trials: by appraiser and part, its T trials in order.
        verdicts: int `[A, P, T]`, with reviews counted as `review` says; what was not inspected
            is never accepted.
        review: how the verdict review is counted.
        records: of the model's photographs, by path; empty in a study of others alone.
        figures: agreement and errors.
        scores: of the model; None in a study of others alone.
        warnings: what limits the study, in sentences.
    """

    parts: tuple[str, ...]
    reference: NDArray[np.int64]
    appraisers: tuple[str, ...]
    trials: tuple[tuple[tuple[Trial, ...], ...], ...]
    verdicts: Verdicts
    review: Review
    records: Mapping[Path, Record]
    figures: AttributeStudy
    scores: ScoreFigures | None
    warnings: tuple[str, ...]

    def verdict_of(self, trial: Trial) -> str:
        """What was said of it: pass, review or reject."""
        return trial.verdict or self.records[Path(trial.image or "")].verdict

    def to_json(self) -> dict[str, Any]:
        """All figures as values for `json.dumps`; None for what is not defined."""
        figures = self.figures
        return {
            "parts": len(self.parts),
            "good_parts": figures.n_good,
            "defective_parts": figures.n_defective,
            "trials": figures.n_trials,
            "review_counts_as": self.review,
            "appraisers": [
                {
                    **_values(a),
                    "ratings": {m: rating(m, f.value) for m, f in a.measures().items()},
                    "shown_with_95_percent": {m: is_shown(m, f) for m, f in a.measures().items()},
                }
                for a in figures.appraisers
            ],
            "between": _values(figures.between),
            "all_effective": _values(figures.all_effective),
            "pairs": [
                {"appraisers": list(names), "kappa": _values(kappa)}
                for names, kappa in figures.pairs.items()
            ],
            "kappa_between": _values(figures.kappa_between),
            "scores": self._score_values(),
            "disagreeing_parts": [self.parts[i] for i in self.disagreeing()],
            "warnings": list(self.warnings),
        }

    def disagreeing(self) -> list[int]:
        """The parts that were not judged as the reference says by all appraisers in all trials.

        Defective ones first, since an error on them is a miss.
        """
        right = (self.verdicts == self.reference[None, :, None]).all((0, 2))
        return sorted(map(int, np.flatnonzero(~right)), key=lambda i: -self.reference[i])

    def _score_values(self) -> dict[str, Any] | None:
        s = self.scores
        if s is None:
            return None
        return _values(
            {
                "limits": list(s.limits),
                "repeatability": s.repeatability,
                "repeatability_low": s.low,
                "repeatability_high": s.high,
                "grey_zone": list(s.zone),
                "parts_within_three_sigma": s.n_near,
            }
        )


def make_study(
    plan: StudyPlan,
    records: Mapping[Path, Record],
    n_trials: int | None = None,
    review: Review = "reject",
) -> Study:
    """Put the trials into order and compute their figures.

    Args:
        plan: the trials.
        records: of the model's photographs.
        n_trials: use the first so many trials of each part; None where all parts have equally many.
        review: whether the verdict review counts as reject, as pass, or apart from both.

    Raises:
        DataError: see `check_plan`.
    """
    check_plan(plan, n_trials)
    parts = tuple(sorted(plan.is_defective, key=lambda part: plan.is_defective[part]))
    appraisers = appraisers_of(plan)
    ordered = tuple(
        tuple(_trials_of(plan, appraiser, part)[:n_trials] for part in parts)
        for appraiser in appraisers
    )
    codes = {"pass": ACCEPT, "reject": REJECT, "review": _COUNTED[review]}
    codes["not inspected"] = REVIEW if review == "apart" else REJECT  # it is never accepted
    said = [
        [
            [codes[t.verdict or records[Path(t.image or "")].verdict] for t in trials]
            for trials in of_part
        ]
        for of_part in ordered
    ]
    verdicts = np.array(said, np.int64)
    reference = np.array([int(plan.is_defective[part]) for part in parts], np.int64)
    figures = attribute_study(verdicts, reference, appraisers)
    scores = None
    if appraisers[0] == MODEL:
        used = [[records[Path(t.image or "")] for t in trials] for trials in ordered[0]]
        scores = score_figures(
            np.array([[_score(record) for record in of_part] for of_part in used]),
            verdicts[0],
            _limits(used[0][0], review),
        )
    return Study(
        parts,
        reference,
        appraisers,
        ordered,
        verdicts,
        review,
        records,
        figures,
        scores,
        tuple(_warnings(figures)),
    )


def appraisers_of(plan: StudyPlan) -> tuple[str, ...]:
    """Who judges, the model first."""
    names = dict.fromkeys(trial.appraiser for trial in plan.trials)
    return tuple(sorted(names, key=lambda name: name != MODEL))


def check_plan(plan: StudyPlan, n_trials: int | None = None) -> None:
    """Check that there are enough parts of both kinds, and equally many trials of each.

    Raises:
        DataError: otherwise; the message says what is missing.
    """
    n_parts, n_bad = len(plan.is_defective), sum(plan.is_defective.values())
    problems = []
    for kind, n in (("defective", n_bad), ("good", n_parts - n_bad)):
        if not n:
            problems.append(
                DataError(f"no part is {kind} by its reference. A study needs parts of both kinds.")
            )
    if n_parts < FEWEST_PARTS:
        problems.append(
            DataError(
                f"{n_parts} part{'s are' if n_parts != 1 else ' is'} too few for a study: take "
                f"{PARTS}, {FEWEST_PARTS} at least, some of them near the limit."
            )
        )
    if n_trials is not None and n_trials < FEWEST_TRIALS:
        problems.append(
            DataError(f"--trials is {n_trials}; a study needs {FEWEST_TRIALS} or more.")
        )
        raise together(problems)
    counts = {
        (appraiser, part): len(_trials_of(plan, appraiser, part))
        for appraiser in appraisers_of(plan)
        for part in plan.is_defective
    }
    asked = n_trials or max(FEWEST_TRIALS, max(counts.values()))
    few = {key: n for key, n in counts.items() if n < asked}
    if few:
        named = "; ".join(
            f"{part} by {_name(who)}: {n}" for (who, part), n in list(few.items())[:8]
        )
        more = f" and {len(few) - 8} more" if len(few) > 8 else ""
        fewest = min(few.values())
        remedy = (
            f", or use the first {fewest} of every part: --trials {fewest}"
            if fewest >= FEWEST_TRIALS
            else ""
        )
        problems.append(
            DataError(
                f"not every part has {asked} trials by every appraiser ({named}{more}). "
                f"Photograph or judge these parts again{remedy}."
            )
        )
    if problems:
        raise together(problems)


def _trials_of(plan: StudyPlan, appraiser: str, part: str) -> tuple[Trial, ...]:
    theirs = [t for t in plan.trials if (t.appraiser, t.part) == (appraiser, part)]
    return tuple(sorted(theirs, key=lambda trial: natural_key(trial.label)))


def _score(record: Record) -> float:
    """The score; NaN where it decides nothing."""
    return math.nan if record.verdict == "not inspected" else record.score


def _limits(record: Record, review: Review) -> tuple[float, ...]:
    both = (record.review_threshold, record.threshold)
    if review == "apart":
        return tuple(sorted(set(both)))
    return (both[0],) if review == "reject" else (both[1],)


def _warnings(figures: AttributeStudy) -> list[str]:
    lines = []
    n_parts = figures.n_good + figures.n_defective
    if n_parts < PARTS:
        lines.append(f"{n_parts} parts; AIAG's example and usual practice take {PARTS} or more.")
    if figures.n_trials < TRIALS:
        lines.append(f"{figures.n_trials} trials of each part; {TRIALS} are usual.")
    for kind, n in (("defective", figures.n_defective), ("good", figures.n_good)):
        if n < FEW_OF_A_KIND:
            lines.append(
                f"Only {n} {kind} part{'s' if n != 1 else ''}: the rate of errors on them is "
                "hardly known, see its interval."
            )
    return lines


def _name(appraiser: str) -> str:
    return "the model" if appraiser == MODEL else appraiser


def _values(value: Any) -> Any:
    """As values for `json.dumps`, with None for NaN and infinity."""
    if is_dataclass(value):
        inside = {f.name: _values(getattr(value, f.name)) for f in fields(value)}
        return {"value": _values(value.value), **inside} if isinstance(value, Share) else inside
    if isinstance(value, dict):
        return {key: _values(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_values(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
