"""`Model`: everything that fitting leaves behind and inspecting needs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.features import Backbone
from patchcore_dual.scoring import AdaptiveSearch, Probe, Rule, RuleOutput, Thresholds
from patchcore_dual.settings import Settings
from patchcore_dual.training.cross_fitting import KeptPatches


@dataclass(frozen=True)
class CalibrationSet:
    """What is kept of the held-out images, so that thresholds can be renewed without them.

    Attributes:
        names: the good images, n of them.
        scores: float64 `[n]`, their image scores.
        defect_scores: float64 `[k]`, those of real defective images of which other folds hold
            defects too; empty for rules that are not fitted on defective images.
        owner: int32 `[m]`, the image of each kept patch.
        patches: float32 `[m, d]`, their few most anomalous patch features.
        distances: float32 `[m]`, d_N of those, by the bank without the image's group.
    """

    names: tuple[str, ...]
    scores: np.ndarray
    defect_scores: np.ndarray
    owner: np.ndarray
    patches: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class Model:
    """A fitted detector's parts. `size` is width and height, None where images keep theirs."""

    settings: Settings
    backbone: Backbone
    size: tuple[int, int] | None
    normal_bank: MemoryBank
    defect_bank: MemoryBank | None
    probe: Probe | None
    rule: Rule
    thresholds: Thresholds
    held_out: CalibrationSet
    trained_on: dict[str, Any]
    adaptive_search: AdaptiveSearch = field(default_factory=AdaptiveSearch)

    def about(self) -> dict[str, Any]:
        """What a report says of the model, as plain values."""
        return {
            "scoring": self.rule.name,
            "backbone": self.backbone.name,
            "weights_sha256": self.backbone.weights_sha256,
            "size": f"{self.size[0]}x{self.size[1]}" if self.size else "native",
            "seed": self.settings.seed,
            "synthetic_images": self.trained_on.get("synthetic_images", {}),
            "test_masks_used": self.trained_on.get("test_masks_used", False),
        }


def make_calibration_set(
    answers: Sequence[RuleOutput], of_defects: Sequence[RuleOutput], kept: Sequence[KeptPatches]
) -> CalibrationSet:
    """The part of the held-out evidence that the model keeps.

    Args:
        answers, of_defects: the rule's, on held-out good and defective images.
    """
    counts = [len(one.features) for one in kept]
    return CalibrationSet(
        tuple(one.name for one in kept),
        np.array([score for score, _ in answers]),
        np.array([score for score, _ in of_defects]),
        np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        np.concatenate([one.features for one in kept]),
        np.concatenate([one.distances for one in kept]),
    )


def describe_training_set(manifest: Manifest) -> dict[str, Any]:
    """What a model remembers of the images it was fitted on."""
    defective = manifest.real().part(label="positive")
    synthetic = manifest.synthetic()
    return {
        "data": manifest.folder.resolve().name,
        "manifest_sha256": manifest.sha256(),
        "normal_images": len(manifest.part(label="negative")),
        "defective_images": len(defective),
        "defective_images_without_mask": sum(not s.mask_is_known for s in defective),
        "kinds": sorted({s.kind for s in defective if s.kind}),
        "synthetic_images": dict(sorted(Counter(s.origin for s in synthetic).items())),
        "test_masks_used": any(s.used_test_mask for s in synthetic),
    }
