"""`contrast`: the difference of the squared distances from both banks."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from patchcore_dual.scoring.evidence import Evidence
from patchcore_dual.scoring.fusion.rule import Rule, RuleOutput, nearest_defects


@dataclass(frozen=True)
class Contrast(Rule):
    """max_q d_N(q)² − d_P(q)²."""

    name: ClassVar[str] = "contrast"

    def __call__(self, evidence: Evidence) -> RuleOutput:
        grid = evidence.normal.distance**2 - nearest_defects(evidence).distance ** 2
        return RuleOutput(float(np.nanmax(grid)), grid)
