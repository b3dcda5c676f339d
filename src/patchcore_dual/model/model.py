"""`Model`: everything that fitting leaves behind and inspecting needs."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.alignment import Aligner
from patchcore_dual.data.bit_depth import source_bit_depth
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import ModelError
from patchcore_dual.features import EmbedderSpec, Graph
from patchcore_dual.model.calibration import CalibrationSet
from patchcore_dual.scoring import (
    HeldOutResults,
    Nearest,
    OperatingPoint,
    Probe,
    Rule,
    Threshold,
    Thresholds,
    operating_point,
    operating_points,
)
from patchcore_dual.scoring.adaptive_search import AdaptiveSearch
from patchcore_dual.scoring.appearance import Appearance, look_of
from patchcore_dual.scoring.drift_reference import DriftReference
from patchcore_dual.scoring.familiarity import is_foreign
from patchcore_dual.settings import Settings

_LEAST_RATE = 1e-6  # a false-alarm rate cannot be set to nothing at all


@dataclass(frozen=True)
class Model:
    """The parts of a fitted detector. None of them needs PyTorch.

    Attributes:
        settings: those it was fitted with.
        spec: of the embedder that its banks were built with.
        network: the network's tensors as a safetensors file, for a GPU; None where there are none.
        graph: the network as a CPU runs it; None for an embedder of the user's own, and in models
            of schema 6 and before.
        size: width and height that images are resized to; None where they keep their own.
        normal_bank, defect_bank: the two memory banks; the second is None without defects.
        probe: for a rule that uses one.
        rule: the fusion rule with what it learned.
        thresholds: on image scores and on anomaly maps.
        adaptive_search: how much of an image is searched exactly.
        trained_on: what is remembered of the training images, as plain values.
        read_calibration: gives the calibration set, which inspecting never needs; None for a model
            that was made without one.
        segments: how many vectors each segment holds that a bank on disk consists of, by the bank's
            role; nothing for a bank that is not on disk yet.
        aligner: brings parts to where they lie in a reference; None where images are not aligned.
        roi: the region of interest, bool `[H, W]` at `size`, True where images are inspected; None
            for everywhere.
        drift: how its good training images look, by which drift is judged; None where there are
            fewer than ten, and in a model of a version that did not keep it.
    """

    settings: Settings
    spec: EmbedderSpec
    network: bytes | None
    graph: Graph | None
    size: tuple[int, int] | None
    normal_bank: MemoryBank
    defect_bank: MemoryBank | None
    probe: Probe | None
    rule: Rule
    thresholds: Thresholds
    adaptive_search: AdaptiveSearch
    trained_on: dict[str, Any]
    read_calibration: Callable[[], CalibrationSet | None]
    segments: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    aligner: Aligner | None = None
    roi: np.ndarray | None = None
    drift: DriftReference | None = None

    @cached_property
    def calibration(self) -> CalibrationSet | None:
        """What thresholds, rule and probe can be renewed from, read when it is first used."""
        return self.read_calibration()

    def training_images(self) -> dict[Path, str] | None:
        """Hex digests of the real image files that it was fitted on, by the paths they had then.

        None if it kept none.
        """
        kept = self.calibration
        if kept is None:
            return None
        return {Path(kept.prepared, name): sha256 for name, sha256 in kept.sha256.items()}

    def is_foreign(self, normal: Nearest) -> bool:
        """Whether an image is not like the parts it was fitted on, by its normal distances."""
        return is_foreign(normal, self.trained_on.get("greatest_distance"))

    def appearance(self, image: np.ndarray, normal: Nearest) -> Appearance | None:
        """How an image uint8 `[H, W, 3]` of its size looks; None where it keeps no reference."""
        return (
            self.drift.appearance(look_of(image, np.isfinite(normal.distance)), normal)
            if self.drift
            else None
        )

    @property
    def bit_depth(self) -> int | None:
        """How many bits the 16-bit files it was fitted on use; None where there were none."""
        return self.trained_on.get("bit_depth")

    @property
    def inspected_share(self) -> float:
        """The share of an image that its region of interest holds."""
        return 1.0 if self.roi is None else float(self.roi.mean())

    @property
    def defects_outside(self) -> int:
        """How many of its training images have their defects wholly outside of it."""
        return int(self.trained_on.get("defects_outside_region", 0))

    @cached_property
    def held_out(self) -> HeldOutResults | None:
        """The held-out scores of its training images; None without a calibration set."""
        return self.calibration.results(self.rule) if self.calibration else None

    def operating_points(self) -> tuple[OperatingPoint, ...]:
        """What its own threshold finds and what others would, the strictest first.

        Nothing for a model without a calibration set.
        """
        if self.held_out is None:
            return ()
        points = operating_points(self.held_out)
        if all(point.threshold.value != self.thresholds.image.value for point in points):
            points = (*points, operating_point(self.held_out, self.thresholds.image))
        return tuple(sorted(points, key=lambda point: -point.threshold.value))

    def with_threshold(self, image: Threshold, review_rate: float | None) -> "Model":
        """The model with another image threshold, and all that follows from it.

        Args:
            image: of which `asked` becomes the false-alarm rate of the settings.
            review_rate: None for five times that rate.

        Raises:
            ModelError: without a calibration set.
            SettingsError: for a review rate below the false-alarm rate.
        """
        if self.calibration is None:
            raise ModelError("the model keeps no calibration set. Fit it again.")
        rate = min(max(image.asked, _LEAST_RATE), 1 - _LEAST_RATE)
        changes = {"false_alarm_rate": rate, "review_rate": review_rate}
        settings = Settings.of(**{**self.settings.model_dump(), **changes})
        thresholds = self.calibration.thresholds(self.rule, rate, review_rate)
        return replace(self, settings=settings, thresholds=thresholds.with_image(image))

    def about(self) -> dict[str, Any]:
        """What a report says of the model, as plain values."""
        threshold, review = self.thresholds.image, self.thresholds.review
        return {
            "scoring": self.rule.name,
            "backbone": self.spec.backbone,
            "weights_sha256": self.spec.weights_sha256,
            "size": f"{self.size[0]}x{self.size[1]}" if self.size else "native",
            "inspected_share": self.inspected_share,
            "alignment": f"{self.aligner.mode} to {self.aligner.source}"
            if self.aligner
            else "none",
            "seed": self.settings.seed,
            "false_alarm_rate_asked": threshold.asked,
            "false_alarm_rate_expected": threshold.expected,
            "false_alarm_rate_promised": threshold.promised,
            "n_threshold_images": threshold.images,
            "n_threshold_groups": threshold.groups,
            "review_threshold": review.value,
            "review_share_expected": self.thresholds.review_share,
            "operating_points": self.operating_points(),
            "light": self.trained_on.get("light", {}),
            "n_set_aside": len(self.trained_on.get("set_aside", {})),
            "synthetic_images": self.trained_on.get("synthetic_images", {}),
            "test_masks_used": self.trained_on.get("test_masks_used", False),
        }


def bank_channels(
    spec: EmbedderSpec, settings: Settings
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Which channels of a patch feature the normal bank keeps, and the defect bank.

    Returns:
        int64 `[d]` each, or None for all channels; they differ where `defect_levels` are others
        than `levels`.
    """
    if not spec.levels or settings.bank_vectors == "projected":
        return None, None
    defect_levels = settings.levels if settings.defect_levels is None else settings.defect_levels
    return spec.channels_of(settings.levels), spec.channels_of(defect_levels)


def describe_training_set(manifest: Manifest) -> dict[str, Any]:
    """What a model remembers of the images it was fitted on."""
    defective = manifest.real().part(label="positive")
    synthetic = manifest.synthetic()
    return {
        "data": manifest.folder.resolve().name,
        "manifest_sha256": manifest.sha256(),
        "bit_depth": source_bit_depth(manifest.folder),
        "normal_images": len(manifest.part(label="negative")),
        "defective_images": len(defective),
        "defective_images_without_mask": sum(not s.mask_is_known for s in defective),
        "kinds": sorted({s.kind for s in defective if s.kind}),
        "synthetic_images": dict(sorted(Counter(s.origin for s in synthetic).items())),
        "test_masks_used": any(s.used_test_mask for s in synthetic),
    }
