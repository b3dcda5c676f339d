"""About how long fitting will take, told when its first images are through."""

import time
from dataclasses import dataclass

import numpy as np

from patchcore_dual.banks import EXACT, PROJECTED_DIMENSIONS

FIRST = 4  # images that are timed
# Of all pairs of a vector and a choice, how many are worth a multiplication in time (measured).
_EXACT_SHARE, _COMPOSED_SHARE = 0.9, 0.15


@dataclass(frozen=True)
class Estimate:
    """Seconds that the steps of fitting take."""

    features: float
    coreset: float
    scoring: float

    def __str__(self) -> str:
        total = self.features + self.coreset + self.scoring
        if total < 60:
            return "Fitting takes less than a minute."
        steps = (
            f"{name} {seconds / 60:.0f}"
            for name, seconds in (
                ("features", self.features),
                ("coresets", self.coreset),
                ("scoring held-out images", self.scoring),
            )
        )
        return f"Fitting takes about {total / 60:.0f} minutes: {', '.join(steps)}."


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
    share = _EXACT_SHARE if pairs <= EXACT else _COMPOSED_SHARE
    searched = 0.8 * pairs * width / rate if banks > 1 else 0
    return Estimate(
        features=(2 + (banks > 1)) * images * seconds,
        coreset=folds * share * pairs * PROJECTED_DIMENSIONS / rate,
        scoring=searched,
    )


def _multiplications() -> float:
    """Multiplications a second of a matrix product, on as many cores as it takes."""
    block = np.ones((1024, 1024), dtype=np.float32)
    block @ block
    started = time.perf_counter()
    for _ in range(3):
        block @ block
    return 3 * 1024**3 / (time.perf_counter() - started)
