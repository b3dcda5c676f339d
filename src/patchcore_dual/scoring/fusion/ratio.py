"""`ratio`: the image-level form of the thesis's own anomaly map."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from patchcore_dual.scoring.evidence import Evidence, HeldOutImage, TrainingEvidence
from patchcore_dual.scoring.fusion.rule import Rule, RuleOutput, nearest_defects

EPSILON_QUANTILE = 0.01


@dataclass(frozen=True)
class Ratio(Rule):
    """max_q d_N(q) / (d_P(q) + ε).

    Fitting sets ε to the 1 % quantile of d_P over the patches of held-out normal images, so that a
    chance match with one defect vector cannot send the score to infinity.

    Attributes:
        epsilon: ε, in units of the distances.

    >>> import numpy as np
    >>> from patchcore_dual.scoring import Evidence, Nearest
    >>> index = np.array([[0, 0]])
    >>> normal = Nearest(np.array([[1.0, 4.0]], np.float32), index)
    >>> defect = Nearest(np.array([[1.5, 7.5]], np.float32), index)
    >>> score, grid = Ratio(epsilon=0.5)(Evidence(normal, defect))
    >>> score, grid.tolist()
    (0.5, [[0.5, 0.5]])
    """

    name: ClassVar[str] = "ratio"
    epsilon: float = 1e-6

    def fit(self, training: TrainingEvidence) -> Self:
        return replace(self, epsilon=estimate_epsilon(training.normals))

    def __call__(self, evidence: Evidence) -> RuleOutput:
        grid = evidence.normal.distance / (
            nearest_defects(evidence).distance + np.float32(self.epsilon)
        )
        return RuleOutput(float(np.nanmax(grid)), grid)


def estimate_epsilon(normals: Sequence[HeldOutImage]) -> float:
    """Return the 1 % quantile of d_P over all patches of held-out normal images."""
    distances = np.concatenate(
        [nearest_defects(image.evidence).distance.ravel() for image in normals]
    )
    return float(np.quantile(distances[~np.isnan(distances)], EPSILON_QUANTILE))
