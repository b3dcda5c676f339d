"""Kappa and its uncertainty, for verdicts of which several belong to one part.

Trials of one part are not independent: a part near the threshold is hard every time. So every
interval here counts parts, not trials, and every standard error leaves out one part at a time.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.evaluation.metrics import proportion_interval

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kappa:
    """Agreement beyond chance: 1 is perfect, 0 what chance alone gives.

    Attributes:
        value: NaN where all verdicts are alike, since chance then explains everything.
        low, high: 95 % interval: that of the observed agreement, exact with each part counted
            once, with the agreement by chance held fixed as in Cohen (1960).
        standard_error: by the jackknife that leaves out one part at a time.
    """

    value: float
    low: float
    high: float
    standard_error: float


def cohen_kappa(table: Ints | Floats) -> float:
    """Cohen's kappa (1960) of a table `[k, k]`: how often which pair of verdicts was given.

    >>> round(cohen_kappa(np.array([[44, 6], [3, 97]])), 2)
    0.86
    """
    return float(_cohen(np.asarray(table, np.float64))[0])


def fleiss_kappa(counts: Ints | Floats) -> float:
    """Fleiss' kappa (1971) of counts `[n, k]`: how many raters put a subject in each category.

    Every subject has the same number of raters, 2 or more.

    >>> round(fleiss_kappa(np.array([[3, 0], [3, 0], [1, 2], [0, 3]])), 3)
    0.657
    """
    return float(_fleiss(np.asarray(counts, np.float64)[:, None])[0])


def kappa_of_pairs(first: Ints, second: Ints) -> Kappa:
    """Cohen's kappa between two appraisers who judged the same trials.

    Args:
        first, second: int `[P, T]` each, the category of each part in each trial.

    >>> a = np.array([[0, 0], [1, 1], [0, 1], [1, 1]])
    >>> round(kappa_of_pairs(a, np.array([[0, 0], [1, 1], [1, 1], [1, 1]])).value, 2)
    0.71
    """
    k = int(max(first.max(), second.max())) + 1
    pairs = np.eye(k)[first][..., :, None] * np.eye(k)[second][..., None, :]  # [P, T, k, k]
    tables = pairs.sum(1)
    value, observed, chance = _cohen(tables.sum(0))
    without = [_cohen(tables.sum(0) - table)[0] for table in tables]
    return _kappa(value, observed, chance, without, len(tables))


def kappa_of_raters(ratings: Ints) -> Kappa:
    """Fleiss' kappa among raters who judged the same subjects, several subjects to a part.

    Args:
        ratings: int `[P, S, R]`: category by part, subject of the part, and rater.

    >>> round(kappa_of_raters(np.array([[[0, 0, 0]], [[1, 1, 1]], [[0, 1, 1]]])).value, 2)
    0.55
    """
    counts = np.eye(int(ratings.max()) + 1)[ratings].sum(2)  # [P, S, k]
    value, observed, chance = _fleiss(counts)
    keep = ~np.eye(len(counts), dtype=bool)
    without = [_fleiss(counts[kept])[0] for kept in keep]
    return _kappa(value, observed, chance, without, len(counts))


def parts_interval(share: float, n_parts: int) -> tuple[float, float]:
    """The 95 % interval of a share of trials, for as many independent observations as parts.

    That is exact where all trials of a part agree, and wide where they do not.

    >>> [round(end, 3) for end in parts_interval(0.0, 50)]
    [0.0, 0.071]
    """
    return proportion_interval(round(share * n_parts, 9), n_parts)


def _cohen(table: Floats) -> tuple[float, float, float]:
    """Kappa, observed agreement and that by chance."""
    shares = table / table.sum()
    observed = float(np.trace(shares))
    chance = float(shares.sum(0) @ shares.sum(1))
    return _beyond(observed, chance), observed, chance


def _fleiss(counts: Floats) -> tuple[float, float, float]:
    """The same of counts `[P, S, k]`."""
    n_raters = counts.sum(-1).flat[0]
    pairs = (counts * (counts - 1)).sum(-1) / (n_raters * (n_raters - 1))
    shares = counts.sum((0, 1)) / counts.sum()
    observed, chance = float(pairs.mean()), float(shares @ shares)
    return _beyond(observed, chance), observed, chance


def _beyond(observed: float, chance: float) -> float:
    return math.nan if chance > 1 - 1e-12 else (observed - chance) / (1 - chance)


def _kappa(
    value: float, observed: float, chance: float, without: list[float], n_parts: int
) -> Kappa:
    if math.isnan(value):
        return Kappa(value, value, value, value)
    low, high = (_beyond(end, chance) for end in parts_interval(observed, n_parts))
    left_out = np.array(without)
    variance = (n_parts - 1) / n_parts * ((left_out - left_out.mean()) ** 2).sum()
    return Kappa(value, low, high, float(np.sqrt(variance)))
