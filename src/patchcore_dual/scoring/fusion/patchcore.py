"""`patchcore` and `patchcore-weighted`: the baselines without a defect bank (Roth et al. 2022)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from patchcore_dual.scoring.evidence import Evidence
from patchcore_dual.scoring.fusion.rule import Rule, RuleOutput


@dataclass(frozen=True)
class PatchCore(Rule):
    """max_q d_N(q): the baseline of the thesis's Table 1, PatchCore without w_N.

    >>> import numpy as np
    >>> from patchcore_dual.scoring import Evidence, Nearest
    >>> normal = Nearest(np.array([[1.0, 4.0]], np.float32), np.array([[0, 0]]), weight=0.5)
    >>> score, grid = PatchCore()(Evidence(normal))
    >>> score, grid.tolist()
    (4.0, [[1.0, 4.0]])
    """

    name: ClassVar[str] = "patchcore"
    sigma: ClassVar[float] = 4.0
    uses_defects: ClassVar[bool] = False
    needs_defects: ClassVar[bool] = False

    def __call__(self, evidence: Evidence) -> RuleOutput:
        return RuleOutput(float(np.nanmax(evidence.normal.distance)), evidence.normal.distance)


@dataclass(frozen=True)
class PatchCoreWeighted(PatchCore):
    """w_N · max_q d_N(q): PatchCore with its neighbourhood weight."""

    name: ClassVar[str] = "patchcore-weighted"
    weighted: ClassVar[bool] = True

    def __call__(self, evidence: Evidence) -> RuleOutput:
        score, grid = super().__call__(evidence)
        return RuleOutput(evidence.normal.weight * score, grid)
