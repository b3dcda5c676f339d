"""The thesis's fusion rules and their kin, and the names of all rules (4.3.5).

To add one: a frozen dataclass like these, named in `RULES`. Without a defect bank all of these are
PatchCore: `rule_for` sees to that, so they may rely on `evidence.defect`.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from patchcore_dual.errors import SettingsError
from patchcore_dual.scoring.evidence import Evidence, Nearest, TrainingEvidence
from patchcore_dual.scoring.fusion.calibrated import EPSILON_QUANTILE, Calibrated
from patchcore_dual.scoring.fusion.rule import Rule, RuleOutput

THESIS_EPSILON = 1e-6


@dataclass(frozen=True)
class PatchCore(Rule):
    """max_q d_N(q): the baseline of the thesis's Table 1 (Roth et al. 2022, without w)."""

    sigma: ClassVar[float] = 4.0
    uses_defects: ClassVar[bool] = False
    needs_defects: ClassVar[bool] = False

    def __call__(self, evidence: Evidence) -> RuleOutput:
        return float(evidence.normal.distance.max()), evidence.normal.distance


@dataclass(frozen=True)
class PatchCoreWeighted(PatchCore):
    """w_N · max_q d_N(q): PatchCore with its neighbourhood weight."""

    weighted: ClassVar[bool] = True

    def __call__(self, evidence: Evidence) -> RuleOutput:
        score, grid = super().__call__(evidence)
        return evidence.normal.weight * score, grid


@dataclass(frozen=True)
class Thesis(Rule):
    """w_N s_N* / (w_P s_P* + ε), map d_N / (d_P + ε): the literal reading of 4.3.5.

    Its positive term is taken at the patch least like any defect; kept for reproduction.
    """

    weighted: ClassVar[bool] = True
    has_decisive_patch: ClassVar[bool] = False

    def __call__(self, evidence: Evidence) -> RuleOutput:
        normal, defect = evidence.normal, _defect(evidence)
        s_n = normal.weight * float(normal.distance.max())
        s_p = defect.weight * float(defect.distance.max())
        grid = normal.distance / (defect.distance + np.float32(THESIS_EPSILON))
        return s_n / (s_p + THESIS_EPSILON), grid


@dataclass(frozen=True)
class Ratio(Rule):
    """max_q d_N(q) / (d_P(q) + ε): the image-level form of the thesis's own map.

    ε is the 1 % quantile of d_P over patches of normal training images, so that a chance match
    with one defect vector cannot send the score to infinity.
    """

    epsilon: float = THESIS_EPSILON

    def fit(self, training: TrainingEvidence) -> Self:
        distances = np.concatenate(
            [_defect(one.evidence).distance.ravel() for one in training.normals]
        )
        return replace(self, epsilon=float(np.quantile(distances, EPSILON_QUANTILE)))

    def __call__(self, evidence: Evidence) -> RuleOutput:
        grid = evidence.normal.distance / (_defect(evidence).distance + np.float32(self.epsilon))
        return float(grid.max()), grid


@dataclass(frozen=True)
class Contrast(Rule):
    """max_q d_N(q)² − d_P(q)²."""

    def __call__(self, evidence: Evidence) -> RuleOutput:
        grid = evidence.normal.distance**2 - _defect(evidence).distance ** 2
        return float(grid.max()), grid


RULES: dict[str, type[Rule]] = {
    "calibrated": Calibrated,
    "ratio": Ratio,
    "contrast": Contrast,
    "thesis": Thesis,
    "patchcore": PatchCore,
    "patchcore-weighted": PatchCoreWeighted,
}


def rule_for(name: str, has_defects: bool) -> type[Rule]:
    """The rule of that name; PatchCore where there is no defect bank for it to use."""
    if name not in RULES:
        raise SettingsError(f"no scoring rule {name!r}; there are: {', '.join(RULES)}.")
    return RULES[name] if has_defects or not RULES[name].needs_defects else PatchCore


def _defect(evidence: Evidence) -> Nearest:
    assert evidence.defect is not None, "rule_for gives these rules only where there is a bank"
    return evidence.defect
