"""`Rule`: the interface of all fusion rules, and `RuleOutput`, what they return (thesis 4.3.5)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from patchcore_dual.scoring.evidence import Evidence, HeldOutImage, Nearest, TrainingEvidence


class RuleOutput(NamedTuple):
    """The scores that a rule gives an image; higher is more anomalous.

    Attributes:
        score: the image score.
        grid: float32 `[h, w]`, the score of each patch, from which the anomaly map is made; NaN
            where it is not inspected.
    """

    score: float
    grid: np.ndarray

    @property
    def peak(self) -> tuple[int, int]:
        """Row and column of the most anomalous patch."""
        return divmod(int(np.nanargmax(self.grid)), self.grid.shape[1])


@dataclass(frozen=True)
class Rule(ABC):
    """A fusion rule: turns the evidence of an image's patches into its scores.

    A rule is a frozen dataclass whose fields are its fitted constants; each has a default, so that
    `SomeRule()` is the rule before fitting. To add one, write one file in `scoring/fusion/` and
    list its class in `registry.py`.

    Attributes:
        name: by which settings and models refer to the rule.
        sigma: standard deviation of the Gaussian that smooths its anomaly map, in pixels of the
            prepared image.
        weighted: whether the rule uses the neighbourhood weights w_N and w_P, each of which costs
            a further search.
        uses_defects: whether the rule uses the defect bank where there is one.
        needs_defects: whether the rule is undefined without a defect bank.
        has_decisive_patch: whether the image score is determined by the patch with the highest
            grid value.
        uses_probe: whether the rule uses the probe's log odds. Only such rules receive held-out
            defective images in `fit`; for others `training.defectives` is empty.
    """

    name: ClassVar[str]
    sigma: ClassVar[float] = 2.0
    weighted: ClassVar[bool] = False
    uses_defects: ClassVar[bool] = True
    needs_defects: ClassVar[bool] = True
    has_decisive_patch: ClassVar[bool] = True
    uses_probe: ClassVar[bool] = False

    def fit(self, training: TrainingEvidence) -> Self:
        """Return the rule with its constants estimated from held-out training images."""
        return self

    @abstractmethod
    def __call__(self, evidence: Evidence) -> RuleOutput:
        """Return the image score and the patch grid of one image."""

    def held_out(
        self, training: TrainingEvidence, images: Sequence[HeldOutImage]
    ) -> list[RuleOutput]:
        """Return the out-of-fold output for each image.

        A rule overrides this if its constants would favour an image that they were estimated on:
        it estimates them again without the image's fold.

        Args:
            training: the evidence that the rule was fitted on.
            images: the images to score, each of one of the folds in `training`.
        """
        return [self(one.evidence) for one in images]

    def left_out(self, training: TrainingEvidence) -> list[np.ndarray]:
        """Image scores of each kind of defects, as if it had never been seen.

        Returns:
            `[k]` for each kind or cluster that was left out; nothing for a rule without a guard.
        """
        return []

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the fitted constants for saving: JSON values, and arrays by name.

        A rule overrides `state` and `from_state` if some of its fields are no JSON values.
        """
        return asdict(self), {}

    @classmethod
    def from_state(cls, constants: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """Rebuild the fitted rule from the two values that `state` returned."""
        return cls(**constants)


def nearest_defects(evidence: Evidence) -> Nearest:
    """Return the defect bank's part of the evidence.

    Raises:
        ValueError: if there is none. `rule_for` chooses rules that need it only where there is a
            defect bank.
    """
    if evidence.defect is None:
        raise ValueError("this fusion rule needs evidence from a defect bank")
    return evidence.defect
