"""`Rule`: what every fusion rule is (thesis 4.3.5)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from patchcore_dual.scoring.evidence import Evidence, HeldOutImage, TrainingEvidence

RuleOutput = tuple[float, np.ndarray]
"""Image score and patch grid float32 `[h, w]`; higher is more anomalous."""


@dataclass(frozen=True)
class Rule(ABC):
    """From the evidence on an image's patches to an image score and a patch grid.

    A rule is a frozen dataclass whose fields are the constants it learned.

    Attributes:
        sigma: smoothing of its map, in prepared-image pixels.
        weighted: whether it reads w_N and w_P, which cost a search each.
        counts_padding: whether zeros around the feature maps count in the 3×3 mean. With them, as
            in PatchCore's own code, border patches are easy to tell; without, they scatter more
            but say more, which a rule that knows what is usual at each place can use.
        uses_defects: whether it reads the defect bank where there is one.
        needs_defects: whether it makes no sense without one.
        has_decisive_patch: whether the patch with the highest grid value decides the score.
        uses_probe: whether it reads the probe, and held-out defective images when it is fitted.
    """

    sigma: ClassVar[float] = 2.0
    weighted: ClassVar[bool] = False
    counts_padding: ClassVar[bool] = True
    uses_defects: ClassVar[bool] = True
    needs_defects: ClassVar[bool] = True
    has_decisive_patch: ClassVar[bool] = True
    uses_probe: ClassVar[bool] = False

    def fit(self, training: TrainingEvidence) -> Self:
        """The rule with its constants learned from held-out training images."""
        return self

    @abstractmethod
    def __call__(self, evidence: Evidence) -> RuleOutput:
        """What the rule says of one image."""

    def held_out(
        self, training: TrainingEvidence, images: Sequence[HeldOutImage]
    ) -> list[RuleOutput]:
        """What the rule would say of training images, had it not been fitted on their folds."""
        return [self(one.evidence) for one in images]

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What was learned: plain values, and arrays by name."""
        return asdict(self), {}

    @classmethod
    def from_state(cls, constants: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """The rule again, from what `state` gave."""
        return cls(**constants)
