"""`ImageResult`: a model's result on one image, and what it means for its label."""

from dataclasses import dataclass
from typing import Literal

from patchcore_dual.data.manifest import Label

Outcome = Literal["miss", "false alarm", "found", "passed"]


@dataclass(frozen=True)
class ImageResult:
    """A model's result on one image.

    >>> ImageResult("test/3.png", "positive", "crack", score=0.4, verdict="pass").outcome
    'miss'

    Attributes:
        path: of the image, relative to the prepared folder.
        label: "positive" for a defective image, "negative" for a normal one.
        kind: of the defect; empty where it has no name.
        score: the image score, higher for more anomalous.
        verdict: "pass", "review", "reject" or "not inspected".
    """

    path: str
    label: Label
    kind: str
    score: float
    verdict: str

    @property
    def is_defective(self) -> bool:
        """Whether the image shows a defect."""
        return self.label == "positive"

    @property
    def is_rejected(self) -> bool:
        """Whether the model rejects it; an image for review is not rejected."""
        return self.verdict == "reject"

    @property
    def outcome(self) -> Outcome:
        """Whether a defect is "found" or a "miss", a normal image "passed" or a "false alarm"."""
        if self.is_defective:
            return "found" if self.is_rejected else "miss"
        return "false alarm" if self.is_rejected else "passed"
