"""`thesis`: the image score of 4.3.5 as it is written there."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from patchcore_dual.scoring.evidence import Evidence
from patchcore_dual.scoring.fusion.rule import Rule, RuleOutput, nearest_defects

EPSILON = 1e-6  # of 4.3.5


@dataclass(frozen=True)
class Thesis(Rule):
    """w_N s_N* / (w_P s_P* + ε) with s* the largest distance of a patch; map d_N / (d_P + ε).

    Both maxima are taken separately, so the denominator comes from the patch that is *least* like
    any known defect. The rule is kept to reproduce the thesis; see `docs/method.md`.
    """

    name: ClassVar[str] = "thesis"
    weighted: ClassVar[bool] = True
    has_decisive_patch: ClassVar[bool] = False

    def __call__(self, evidence: Evidence) -> RuleOutput:
        normal, defect = evidence.normal, nearest_defects(evidence)
        s_n = normal.weight * float(np.nanmax(normal.distance))
        s_p = defect.weight * float(np.nanmax(defect.distance))
        grid = normal.distance / (defect.distance + np.float32(EPSILON))
        return RuleOutput(s_n / (s_p + EPSILON), grid)
