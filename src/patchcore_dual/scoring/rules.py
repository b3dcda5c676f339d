"""Fusion rules: from the evidence of both banks to an image score and a patch grid (4.3.5).

To add one: a frozen dataclass with `sigma`, `weighted`, `fit` and `__call__`, named in `RULES`.
Without a defect bank every rule is PatchCore: `rule_for` sees to that, so a rule may rely on
`evidence.defect`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from patchcore_dual.errors import SettingsError
from patchcore_dual.scoring.evidence import Evidence, Nearest

EPSILON_QUANTILE = 0.01
THESIS_EPSILON = 1e-6


class Rule(Protocol):
    """A fusion rule. `sigma` is the map's smoothing in prepared-image pixels."""

    sigma: ClassVar[float]
    weighted: ClassVar[bool]

    def fit(self, normals: Sequence[Evidence]) -> Self:
        """The rule with its constants learned from held-out normal training images."""
        ...

    def __call__(self, evidence: Evidence) -> tuple[float, np.ndarray]:
        """Image score and patch grid `[h, w]`; higher is more anomalous."""
        ...


@dataclass(frozen=True)
class PatchCore:
    """max_q d_N(q): the baseline of the thesis's Table 1 (Roth et al. 2022, without w)."""

    sigma: ClassVar[float] = 4.0
    weighted: ClassVar[bool] = False

    def fit(self, normals: Sequence[Evidence]) -> Self:
        return self

    def __call__(self, evidence: Evidence) -> tuple[float, np.ndarray]:
        return float(evidence.normal.distance.max()), evidence.normal.distance


@dataclass(frozen=True)
class PatchCoreWeighted(PatchCore):
    """w_N · max_q d_N(q): PatchCore with its neighbourhood weight."""

    weighted: ClassVar[bool] = True

    def __call__(self, evidence: Evidence) -> tuple[float, np.ndarray]:
        score, grid = super().__call__(evidence)
        return evidence.normal.weight * score, grid


@dataclass(frozen=True)
class Thesis:
    """w_N s_N* / (w_P s_P* + ε), map d_N / (d_P + ε): the literal reading of 4.3.5.

    Its positive term is taken at the patch least like any defect; kept for reproduction.
    """

    sigma: ClassVar[float] = 2.0
    weighted: ClassVar[bool] = True

    def fit(self, normals: Sequence[Evidence]) -> Self:
        return self

    def __call__(self, evidence: Evidence) -> tuple[float, np.ndarray]:
        normal, defect = evidence.normal, _defect(evidence)
        s_n = normal.weight * float(normal.distance.max())
        s_p = defect.weight * float(defect.distance.max())
        grid = normal.distance / (defect.distance + np.float32(THESIS_EPSILON))
        return s_n / (s_p + THESIS_EPSILON), grid


@dataclass(frozen=True)
class Ratio:
    """max_q d_N(q) / (d_P(q) + ε): the image-level form of the thesis's own map.

    ε is the 1 % quantile of d_P over patches of normal training images, so that a chance match
    with one defect vector cannot send the score to infinity.
    """

    epsilon: float = THESIS_EPSILON
    sigma: ClassVar[float] = 2.0
    weighted: ClassVar[bool] = False

    def fit(self, normals: Sequence[Evidence]) -> Self:
        distances = np.concatenate([_defect(e).distance.ravel() for e in normals])
        return replace(self, epsilon=float(np.quantile(distances, EPSILON_QUANTILE)))

    def __call__(self, evidence: Evidence) -> tuple[float, np.ndarray]:
        grid = evidence.normal.distance / (_defect(evidence).distance + np.float32(self.epsilon))
        return float(grid.max()), grid


@dataclass(frozen=True)
class Contrast:
    """max_q d_N(q)² − d_P(q)²."""

    sigma: ClassVar[float] = 2.0
    weighted: ClassVar[bool] = False

    def fit(self, normals: Sequence[Evidence]) -> Self:
        return self

    def __call__(self, evidence: Evidence) -> tuple[float, np.ndarray]:
        grid = evidence.normal.distance**2 - _defect(evidence).distance ** 2
        return float(grid.max()), grid


RULES: dict[str, type[Rule]] = {
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
    return RULES[name] if has_defects or issubclass(RULES[name], PatchCore) else PatchCore


def rule_constants(rule: Rule) -> dict[str, Any]:
    """What `fit` learned, as plain values; `RULES[name](**constants)` is the rule again."""
    return asdict(rule)  # type: ignore[call-overload]


def _defect(evidence: Evidence) -> Nearest:
    assert evidence.defect is not None, "rule_for gives these rules only where there is a bank"
    return evidence.defect
