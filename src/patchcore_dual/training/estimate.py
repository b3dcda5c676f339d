"""Estimates how long fitting will take, after timing the first few images."""

import time
from dataclasses import dataclass

import numpy as np

from patchcore_dual.banks import EXACT, PROJECTED_DIMENSIONS

TIMED_IMAGES = 4
# Empirical cost in distance evaluations: exact greedy selection evaluates this share of all pairs
# of vector and selected vector; composed selection evaluates all pairs of merged candidates, and a
# fixed number for each vector.
_EXACT_SHARE, _COMPOSED_EACH = 0.6, 4000
_OVERHEAD = 1.4  # time of a distance over that of its multiplications
# Scoring takes this share of the time that comparing every pair would take, and so many seconds
# for each image.
_SEARCHED_SHARE, _SCORING_EACH = 0.12, 0.08


@dataclass(frozen=True)
class Estimate:
    """Seconds that the steps of fitting take."""

    features: float
    coreset: float
    scoring: float

    def __str__(self) -> str:
        total = self.features + self.coreset + self.scoring
        return (
            f"Fitting takes about {in_words(total)}: features {in_words(self.features)}, "
            f"coresets {in_words(self.coreset)}, "
            f"scoring held-out images {in_words(self.scoring)}."
        )


def in_words(seconds: float) -> str:
    """A duration with the unit that suits it.

    >>> in_words(12.3), in_words(600), in_words(9000)
    ('12 s', '10 min', '2.5 h')
    """
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(seconds, 1):.0f} s"


def estimate(
    *,
    images: int,
    patches: int,
    width: int,
    chosen: int,
    banks: int,
    seconds: float,
    embedded: float = 1,
) -> Estimate:
    """The time of fitting, from that of one image's features and of a matrix product now.

    Args:
        images, patches: number of normal images, and of their patches all together.
        width: length of a patch feature.
        chosen: vectors of the whole bank.
        banks: number of coresets that are built.
        seconds: to embed one image.
        embedded: how often an image goes through the network, on average.
    """
    rate = _multiplications()
    pairs = patches * chosen
    folds = max(banks - 1, 1)
    share = 1 - 1 / folds  # of the patches: a bank without a fold selects fewer among fewer
    composed = 2 * chosen**2 + _COMPOSED_EACH * patches
    distances = _EXACT_SHARE * pairs if pairs <= EXACT else composed
    searched = _SEARCHED_SHARE * share * pairs * width / rate + _SCORING_EACH * images
    return Estimate(
        features=embedded * images * seconds,
        coreset=_OVERHEAD * (1 + share**2 * folds) * distances * PROJECTED_DIMENSIONS / rate,
        scoring=searched if banks > 1 else 0,
    )


def _multiplications() -> float:
    """Multiplications a second of a matrix product, on as many cores as it uses."""
    block = np.ones((512, 512), dtype=np.float32)
    block @ block
    started = time.perf_counter()
    for _ in range(3):
        block @ block
    return 3 * 512**3 / (time.perf_counter() - started)
