"""About how long fitting will take, told when its first images are through."""

import time
from dataclasses import dataclass

import numpy as np

from patchcore_dual.banks import EXACT, PROJECTED_DIMENSIONS

FIRST = 4  # images that are timed
# How many distances a coreset measures, by experience: of the plain choice a share of all, of a
# composed one those in the union of the parts' choices and so many for every vector.
_EXACT_SHARE, _COMPOSED_EACH = 0.6, 4000
_OVERHEAD = 1.4  # of a distance, over its multiplications
# Scoring takes a share of the time that comparing every pair would take, and so much an image.
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
            f"Fitting takes about {_told(total)}: features {_told(self.features)}, "
            f"coresets {_told(self.coreset)}, scoring held-out images {_told(self.scoring)}."
        )


def _told(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(seconds, 1):.0f} s"


def estimate(
    images: int, patches: int, width: int, chosen: int, banks: int, seconds: float
) -> Estimate:
    """From the time that one image's features took, and the speed of a matrix product now.

    Args:
        images, patches: numbers of good images and of their patches, all together.
        width: length of a patch feature.
        chosen: vectors of the whole bank.
        banks: how many coresets are built.
        seconds: to embed one image.
    """
    rate = _multiplications()
    pairs = patches * chosen
    folds = 1 + 0.8**2 * (banks - 1)  # a bank without a fold chooses fewer among fewer
    composed = 2 * chosen**2 + _COMPOSED_EACH * patches
    distances = _EXACT_SHARE * pairs if pairs <= EXACT else composed
    searched = _SEARCHED_SHARE * 0.8 * pairs * width / rate + _SCORING_EACH * images
    return Estimate(
        features=(2 + (banks > 1)) * images * seconds,
        coreset=_OVERHEAD * folds * distances * PROJECTED_DIMENSIONS / rate,
        scoring=searched if banks > 1 else 0,
    )


def _multiplications() -> float:
    """Multiplications a second of a matrix product, on as many cores as it takes."""
    block = np.ones((1024, 1024), dtype=np.float32)
    block @ block
    started = time.perf_counter()
    for _ in range(3):
        block @ block
    return 3 * 1024**3 / (time.perf_counter() - started)
