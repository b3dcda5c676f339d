"""How much a model's score varies when a part is photographed again, and how near the limit."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from patchcore_dual.evaluation.study.attribute_study import ACCEPT, REJECT, Verdicts

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoreFigures:
    """The scores of a study, in the unit of the score.

    Attributes:
        limits: the scores at which the verdict changes, ascending.
        mean, spread: float `[P]`, mean and range (largest minus smallest) of each part's scores.
        distance: float `[P]`, from the mean to the nearest limit.
        repeatability: standard deviation of repeated scores of one part, pooled over all parts.
        low, high: its 95 % interval, for scores that are normally distributed about their part.
        zone: AIAG's grey zone: the highest mean up to which all parts are always accepted, and the
            lowest from which all are always rejected; NaN where there is no such part.
        n_near: parts whose mean is within three standard deviations of a limit.
    """

    limits: tuple[float, ...]
    mean: Floats
    spread: Floats
    distance: Floats
    repeatability: float
    low: float
    high: float
    zone: tuple[float, float]
    n_near: int

    @property
    def relative_spread(self) -> Floats:
        """Float `[P]`: the spread in units of the distance to the limit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.spread == 0, 0.0, self.spread / self.distance)


def score_figures(scores: Floats, verdicts: Verdicts, limits: tuple[float, ...]) -> ScoreFigures:
    """Compute them.

    Args:
        scores: float `[P, T]`, 2 trials or more; NaN where a trial was not inspected. Such parts
            are left out.
        verdicts: int `[P, T]` of the same trials.
        limits: the scores at which the verdict changes.

    >>> scores = np.array([[1.0, 1.2], [1.9, 2.1], [3.0, 3.0]])
    >>> figures = score_figures(scores, np.array([[0, 0], [0, 1], [1, 1]]), (2.0,))
    >>> round(figures.repeatability, 3), [round(end, 2) for end in figures.zone], figures.n_near
    (0.115, [1.1, 3.0], 1)
    """
    mean, spread = scores.mean(1), np.ptp(scores, axis=1)
    distance = np.abs(mean[:, None] - np.array(limits)).min(1)
    known = np.isfinite(mean)
    deviation = low = high = math.nan
    if known.any():
        freedom = int(known.sum()) * (scores.shape[1] - 1)
        squares = float(((scores - mean[:, None])[known] ** 2).sum())
        deviation = math.sqrt(squares / freedom)
        low, high = (math.sqrt(squares / float(chdtri(freedom, p))) for p in (0.025, 0.975))
    near = int((distance <= 3 * deviation).sum())
    said = verdicts[known]
    zone = grey_zone(mean[known], (said == ACCEPT).all(1), (said == REJECT).all(1))
    return ScoreFigures(
        tuple(sorted(limits)), mean, spread, distance, deviation, low, high, zone, near
    )


def grey_zone(
    values: Floats, is_accepted: NDArray[np.bool_], is_rejected: NDArray[np.bool_]
) -> tuple[float, float]:
    """Where verdicts change, by AIAG's signal detection: last always accepted, first rejected.

    Args:
        values: float `[P]`, higher for more defective.
        is_accepted, is_rejected: bool `[P]`, whether a part was always accepted, always rejected.

    >>> always = np.array([True, True, False, False])
    >>> grey_zone(np.array([1.0, 2.0, 3.0, 4.0]), always, np.array([False, False, False, True]))
    (2.0, 4.0)
    """
    order = np.argsort(values, kind="stable")
    values = values[order]
    n_below = int(np.logical_and.accumulate(is_accepted[order]).sum())
    n_above = int(np.logical_and.accumulate(is_rejected[order][::-1]).sum())
    low = float(values[n_below - 1]) if n_below else math.nan
    high = float(values[len(values) - n_above]) if n_above else math.nan
    return low, high
