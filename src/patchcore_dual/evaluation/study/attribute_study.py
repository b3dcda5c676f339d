"""The figures of an attribute study, as AIAG's Measurement Systems Analysis (4th edition) has them.

Verdicts are numbers: `ACCEPT`, `REJECT`, and `REVIEW` where that is a verdict of its own. The
reference of a part is `ACCEPT` or `REJECT` likewise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.evaluation.metrics import proportion_interval
from patchcore_dual.evaluation.study.agreement import (
    Kappa,
    kappa_of_pairs,
    kappa_of_raters,
    parts_interval,
)

ACCEPT, REJECT, REVIEW = 0, 1, 2
FEWEST_PARTS, PARTS = 20, 50  # below the first no study; below the second a warning
FEWEST_TRIALS, TRIALS = 2, 3
FEW_OF_A_KIND = 10

Verdicts = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rating = Literal["acceptable", "marginal", "not acceptable", "undefined"]
Measure = Literal["effectiveness", "miss rate", "false-alarm rate", "kappa"]


@dataclass(frozen=True)
class Share:
    """A share of parts or of trials, with its 95 % interval.

    Attributes:
        hits: how many count.
        n: of how many.
        low, high: exact (Clopper and Pearson) with each part counted once; see `parts_interval`.
    """

    hits: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself; NaN of nothing."""
        return self.hits / self.n if self.n else math.nan


@dataclass(frozen=True)
class AppraiserFigures:
    """What one appraiser did.

    Attributes:
        name: who.
        repeatability: parts judged alike in all trials.
        effectiveness: parts judged as the reference says in all trials.
        misses: trials of defective parts that were accepted.
        false_alarms: trials of good parts that were rejected.
        reviews: trials that were neither.
        ever_missed, ever_alarmed: parts of which at least one trial was so.
        kappa_within: Fleiss' kappa between the trials.
        kappa_reference: Cohen's kappa with the reference.
    """

    name: str
    repeatability: Share
    effectiveness: Share
    misses: Share
    false_alarms: Share
    reviews: Share
    ever_missed: Share
    ever_alarmed: Share
    kappa_within: Kappa
    kappa_reference: Kappa

    def measures(self) -> dict[Measure, Share | Kappa]:
        """Those of which AIAG says what is acceptable."""
        return {
            "effectiveness": self.effectiveness,
            "miss rate": self.misses,
            "false-alarm rate": self.false_alarms,
            "kappa": self.kappa_reference,
        }


@dataclass(frozen=True)
class AttributeStudy:
    """All figures of a study.

    Attributes:
        n_good, n_defective, n_trials: number of parts by reference, and of trials of each.
        appraisers: one by one.
        between: parts judged alike by all appraisers in all trials; None of one appraiser.
        all_effective: parts judged by all appraisers in all trials as the reference says; likewise.
        pairs: Cohen's kappa between two appraisers, by their names.
        kappa_between: Fleiss' kappa among all of more than two appraisers.
    """

    n_good: int
    n_defective: int
    n_trials: int
    appraisers: tuple[AppraiserFigures, ...]
    between: Share | None
    all_effective: Share | None
    pairs: dict[tuple[str, str], Kappa]
    kappa_between: Kappa | None


def attribute_study(
    verdicts: Verdicts, reference: NDArray[np.integer], appraisers: Sequence[str]
) -> AttributeStudy:
    """Compute the figures of a study.

    Args:
        verdicts: int `[A, P, T]`, by appraiser, part and trial; 2 trials or more.
        reference: int `[P]`; both kinds of part occur.
        appraisers: A names.

    Raises:
        ValueError: for shapes that do not fit, or values that are no verdicts.

    >>> verdicts = np.array([[[0, 0], [0, 1], [1, 1], [1, 1]]])
    >>> study = attribute_study(verdicts, np.array([0, 0, 1, 1]), ["model"])
    >>> model = study.appraisers[0]
    >>> model.repeatability.value, model.effectiveness.value, model.misses.value
    (0.75, 0.75, 0.0)
    >>> model.false_alarms.hits, model.false_alarms.n, round(model.kappa_reference.value, 2)
    (1, 4, 0.75)
    """
    verdicts, reference = np.asarray(verdicts), np.asarray(reference)
    if verdicts.ndim != 3 or verdicts.shape[:2] != (len(appraisers), len(reference)):
        raise ValueError(f"verdicts {verdicts.shape} for {len(appraisers)} and {len(reference)}")
    if verdicts.shape[2] < 2 or not np.isin(verdicts, (ACCEPT, REJECT, REVIEW)).all():
        raise ValueError("verdicts have to be 0, 1 or 2, of two trials or more")
    if not np.isin(reference, (ACCEPT, REJECT)).all():
        raise ValueError("references have to be 0 or 1")
    n_appraisers = len(appraisers)
    return AttributeStudy(
        int((reference == ACCEPT).sum()),
        int((reference == REJECT).sum()),
        verdicts.shape[2],
        tuple(_figures(n, v, reference) for n, v in zip(appraisers, verdicts, strict=True)),
        _of_parts(all_alike(verdicts)) if n_appraisers > 1 else None,
        _of_parts(all_right(verdicts, reference)) if n_appraisers > 1 else None,
        {
            (appraisers[i], appraisers[j]): kappa_of_pairs(verdicts[i], verdicts[j])
            for i, j in combinations(range(n_appraisers), 2)
        },
        kappa_of_raters(verdicts.transpose(1, 2, 0)) if n_appraisers > 2 else None,
    )


def all_alike(verdicts: Verdicts) -> Bools:
    """Of verdicts `[A, P, T]`, the parts of which all are alike, bool `[P]`."""
    return (verdicts == verdicts[:1, :, :1]).all((0, 2))


def all_right(verdicts: Verdicts, reference: NDArray[np.integer]) -> Bools:
    """Of verdicts `[A, P, T]`, the parts of which all are as the reference says, bool `[P]`."""
    return (verdicts == reference[None, :, None]).all((0, 2))


def rating(measure: Measure, value: float) -> Rating:
    """What AIAG's limits say of a figure.

    >>> rating("effectiveness", 0.84), rating("miss rate", 0.0), rating("kappa", 0.38)
    ('marginal', 'acceptable', 'not acceptable')
    """
    if math.isnan(value):
        return "undefined"
    if measure == "effectiveness":
        return _grade(value >= 0.9, value >= 0.8)
    if measure == "miss rate":
        return _grade(value <= 0.02, value <= 0.05)
    if measure == "false-alarm rate":
        return _grade(value <= 0.05, value <= 0.1)
    return _grade(value > 0.75, value >= 0.4)


# As they are printed: what is acceptable, and what is marginal.
LIMITS: dict[Measure, tuple[str, str]] = {
    "effectiveness": ("≥ 90 %", "≥ 80 %"),
    "miss rate": ("≤ 2 %", "≤ 5 %"),
    "false-alarm rate": ("≤ 5 %", "≤ 10 %"),
    "kappa": ("> 0.75", "≥ 0.40"),
}


def is_shown(measure: Measure, figure: Share | Kappa) -> bool:
    """Whether the whole 95 % interval of a figure is acceptable, not only its value."""
    worst = figure.low if measure in ("effectiveness", "kappa") else figure.high
    return rating(measure, worst) == "acceptable"


def parts_to_show(limit: float) -> int:
    """How many parts without a single error show that a rate is at most `limit`, with 95 %.

    >>> parts_to_show(0.02), parts_to_show(0.05)
    (183, 72)
    """
    return math.ceil(math.log(0.025) / math.log(1 - limit))


def _grade(is_acceptable: bool, is_marginal: bool) -> Rating:
    return "acceptable" if is_acceptable else "marginal" if is_marginal else "not acceptable"


def _figures(name: str, verdicts: Verdicts, reference: NDArray[np.integer]) -> AppraiserFigures:
    """Those of verdicts `[P, T]`."""
    bad, good = verdicts[reference == REJECT], verdicts[reference == ACCEPT]
    truth = np.broadcast_to(reference[:, None], verdicts.shape)
    return AppraiserFigures(
        name,
        _of_parts(all_alike(verdicts[None])),
        _of_parts(all_right(verdicts[None], reference)),
        _of_trials(bad == ACCEPT),
        _of_trials(good == REJECT),
        _of_trials(verdicts == REVIEW),
        _of_parts((bad == ACCEPT).any(1)),
        _of_parts((good == REJECT).any(1)),
        kappa_of_raters(verdicts[:, None]),
        kappa_of_pairs(verdicts, truth),
    )


def _of_parts(counts: Bools) -> Share:
    hits, n = int(counts.sum()), len(counts)
    return Share(hits, n, *proportion_interval(hits, n))


def _of_trials(counts: Bools) -> Share:
    """Of bools `[P, T]`, with the interval of P independent parts."""
    hits, n = int(counts.sum()), counts.size
    low, high = parts_interval(hits / n, len(counts)) if n else (math.nan, math.nan)
    return Share(hits, n, low, high)
