"""Whether the parts still score as the good ones did that a model was fitted on."""

import math
from collections import deque
from typing import Any

import numpy as np

PARTS = 200  # inspected last, that are looked at
_FEWEST_PARTS = 50
_DEFECTS = 0.2  # share of defective parts that is no drift; they score higher than good ones
_SIGMAS = 3.0


class ScoreDrift:
    """Compares the scores of the latest parts with those of held-out good training images.

    Half of the good parts score above the median of these images, and all defective ones. It is
    drift where more do than a fifth of defective parts, and three standard deviations of both
    samples, explain. That finds a dirty lens or a new lamp that raises all scores; it says nothing
    about what changed, and promises no rate of false alarms.

    >>> drift = ScoreDrift(np.linspace(0, 1, 200))
    >>> drift.state()
    {'status': 'not measured', 'parts': 0, 'above': None, 'usual': None}
    >>> for score in np.linspace(0.45, 1.3, 100):
    ...     drift.add(float(score))
    >>> drift.state()
    {'status': 'drifting', 'parts': 100, 'above': 0.94, 'usual': 0.784}

    Args:
        good: scores of held-out good training images.
    """

    def __init__(self, good: np.ndarray) -> None:
        self._median = float(np.median(good)) if len(good) else math.nan
        self._n_good = len(good)
        self._is_above: deque[bool] = deque(maxlen=PARTS)

    def add(self, score: float) -> None:
        """Take in the score of a part."""
        self._is_above.append(score > self._median)

    def state(self) -> dict[str, Any]:
        """As plain values.

        Returns:
            `status` ("not measured", "stable", "drifting"), the number of `parts` looked at, which
            share of them is `above` the median, and up to which share that is `usual`.
        """
        parts = list(self._is_above)
        values: dict[str, Any] = {"status": "not measured", "parts": len(parts)}
        usual = self._usual(len(parts))
        if len(parts) < _FEWEST_PARTS or usual >= 1:
            return {**values, "above": None, "usual": None}
        above = sum(parts) / len(parts)
        values["status"] = "drifting" if above > usual else "stable"
        return {**values, "above": round(above, 3), "usual": round(usual, 3)}

    def _usual(self, parts: int) -> float:
        """The share above the median that is no drift; 1 or more where any share may be chance."""
        if not parts or not self._n_good:
            return 1.0
        variance = 0.25 / parts + 0.25 / self._n_good
        return (1 + _DEFECTS) / 2 + _SIGMAS * math.sqrt(variance)
