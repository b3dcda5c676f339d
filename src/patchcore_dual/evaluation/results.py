"""`Evaluation`: every figure of one evaluation, computed from the results of its images."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.light import light_sentences
from patchcore_dual.evaluation.image_result import ImageResult, Outcome
from patchcore_dual.evaluation.metrics import (
    auroc,
    average_precision,
    best_f1,
    proportion_interval,
    recall_at_fpr,
)
from patchcore_dual.evaluation.pixel_metrics import PixelResult
from patchcore_dual.scoring.operating_points import Costs, OperatingPoint, as_values


@dataclass(frozen=True)
class KindResult:
    """The figures of one kind of defect.

    Attributes:
        n: number of images that show it.
        recall: share of them that the model rejects at its own threshold.
        auroc: of them against all normal images; NaN without normal images.
    """

    n: int
    recall: float
    auroc: float

    @property
    def recall_interval(self) -> tuple[float, float]:
        """The 95 % interval of `recall`."""
        return proportion_interval(round(self.recall * self.n), self.n)


@dataclass(frozen=True)
class Evaluation:
    """Every figure of one evaluation; NaN where a figure is undefined. `summarise` makes one.

    Attributes:
        threshold: the model's own image threshold, as it would run on the line.
        recall: share of the defective images that are rejected at it.
        false_alarm_rate: share of the normal images that are rejected at it.
        recall_with_review: share of the defective images that are rejected or sent to review.
        review_rate: share of the normal images that are sent to review.
        image_auroc, image_ap, best_f1: of the image scores, over all thresholds.
        recall_at_fpr_01, recall_at_fpr_05: recall at a false-alarm rate of at most 1 % and 5 %,
            read from the ROC curve of these images.
        pixel_auroc, pixel_ap, aupro: of the anomaly maps; see `PixelMetrics`.
        pixel_auroc_error_bound: the most by which binning can have changed `pixel_auroc`.
        n_test_normal, n_test_defective: numbers of images.
        dataset: name of the prepared folder.
        split: "test" or "train".
        scoring: name of the fusion rule.
        backbone: name of the network.
        weights_sha256: hex digest of its weights file.
        size: of the images, as "WxH", or "native".
        seed: of the model's settings.
        kinds: by kind of defect; empty where defects have no named kind.
        images: the result of each image, in the order of the manifest.
        synthetic_images: number of synthetic images that the model was trained on, by generator.
        test_masks_used: whether some of these use masks of test defects, so that figures on the
            test images are too good.
        false_alarm_rate_asked: the rate that the threshold was chosen for.
        false_alarm_rate_expected: the best estimate for its threshold, from training images.
        false_alarm_rate_promised: what its threshold guarantees, on average over new normal parts.
        n_threshold_images: number of normal training images behind the threshold.
        n_threshold_groups: number of groups that these images are of.
        light: what changes of light do to the scores of good images, as measured when the model was
            fitted; see `light_sentences`.
        inspected_share: share of each image that is the model's region of interest.
        alignment: how its images are aligned, and to which; "none" where they are not.
        n_set_aside: number of good training images that the model was fitted without, since they
            are probably mislabelled.
        review_threshold: above which an image that is not rejected is for review.
        review_share_expected: the best estimate, from training images, of the share of normal
            parts that are for review.
        operating_points: what the model's own threshold and others do to held-out training images.
        costs: of mistakes, where the user gave them.
        least_cost: the operating point of least expected cost; None without costs, or where there
            are no held-out defects.
        n_training_images: number of these images that the model was fitted on; None where that is
            not known.
        n_like_training: number of other images that nearly repeat one of those.
        n_defects_outside: number of defective images whose defects lie wholly outside the region of
            interest, and which count as good.
        model: name of the model.
        date: on which it was evaluated, as 2026-11-25.
    """

    threshold: float
    recall: float
    false_alarm_rate: float
    recall_with_review: float
    review_rate: float
    image_auroc: float
    image_ap: float
    best_f1: float
    recall_at_fpr_01: float
    recall_at_fpr_05: float
    pixel_auroc: float
    pixel_auroc_error_bound: float
    pixel_ap: float
    aupro: float
    n_test_normal: int
    n_test_defective: int
    dataset: str
    split: str
    scoring: str
    backbone: str
    weights_sha256: str
    size: str
    seed: int
    kinds: dict[str, KindResult]
    images: tuple[ImageResult, ...]
    synthetic_images: dict[str, int] = field(default_factory=dict)
    test_masks_used: bool = False
    false_alarm_rate_asked: float = math.nan
    false_alarm_rate_expected: float = math.nan
    false_alarm_rate_promised: float = math.nan
    n_threshold_images: int = 0
    n_threshold_groups: int = 0
    light: dict[str, dict[str, float]] = field(default_factory=dict)
    inspected_share: float = 1.0
    alignment: str = "none"
    n_set_aside: int = 0
    review_threshold: float = math.nan
    review_share_expected: float = math.nan
    operating_points: tuple[OperatingPoint, ...] = ()
    costs: Costs | None = None
    least_cost: OperatingPoint | None = None
    n_training_images: int | None = None
    n_like_training: int = 0
    n_defects_outside: int = 0
    model: str = ""
    date: str = ""

    def count(self, outcome: Outcome) -> int:
        """Number of images with an outcome: "miss", "false alarm", "found" or "passed"."""
        return sum(r.outcome == outcome for r in self.images)

    def outcome_at(self, threshold: float) -> tuple[float, float]:
        """Recall and false-alarm rate of these images at another threshold.

        What the model rejects whatever the score, as an image of something else, stays rejected.

        Returns:
            Recall, NaN without defective images; and false-alarm rate, NaN without normal ones.
        """
        always = np.array([r.is_rejected and r.score <= self.threshold for r in self.images])
        rejected = always | (self.scores > threshold)
        return _share(rejected[self.labels]), _share(rejected[~self.labels])

    @property
    def recall_interval(self) -> tuple[float, float]:
        """The 95 % interval of `recall`."""
        return proportion_interval(self.count("found"), self.n_test_defective)

    @property
    def false_alarm_rate_interval(self) -> tuple[float, float]:
        """The 95 % interval of `false_alarm_rate`."""
        return proportion_interval(self.count("false alarm"), self.n_test_normal)

    @property
    def warnings(self) -> list[str]:
        """Why the figures may not hold for new parts, in sentences; empty where they do."""
        said = []
        if self.n_training_images is None:
            said.append(
                "The model keeps no list of the images it was fitted on, so it cannot be checked "
                "whether these are among them."
            )
        elif self.n_training_images:
            n, n_all = self.n_training_images, len(self.images)
            which = "These images were" if n == n_all else f"{n} of these {n_all} images were"
            said.append(f"{which} used to fit the model: no figure here holds for new parts.")
        if self.n_like_training:
            said.append(
                f"{self.n_like_training} of these {len(self.images)} images nearly repeat images "
                "that the model was fitted on. If they are the same photographs, in another size "
                "or format, no figure here holds for new parts."
            )
        if self.n_defects_outside:
            said.append(
                f"The defects of {self.n_defects_outside} of these images lie wholly outside the "
                "region of interest: these images count as good."
            )
        if self.test_masks_used:
            said.append("It was trained with masks of test defects.")
        return said

    @property
    def synthetic_note(self) -> str:
        """The synthetic images that the model was trained on, in words."""
        made = ", ".join(f"{n} {origin}" for origin, n in self.synthetic_images.items())
        return f"{made}, with masks of test defects" if self.test_masks_used else made or "none"

    @property
    def inspected_note(self) -> str:
        """How much of each image is inspected, in words."""
        return f"{self.inspected_share:.0%} of each image"

    @property
    def light_note(self) -> str:
        """What changes of light do to good images, in words."""
        return "; ".join(light_sentences(self.light)) or "not measured"

    @property
    def scores(self) -> NDArray[np.float64]:
        """Image scores, float64 `[n]`."""
        return np.array([r.score for r in self.images], dtype=np.float64)

    @property
    def labels(self) -> NDArray[np.bool_]:
        """True for a defective image, bool `[n]`."""
        return np.array([r.is_defective for r in self.images], dtype=bool)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, with intervals and warnings; None for NaN."""
        values: dict[str, Any] = asdict(self)
        values["recall_interval"] = self.recall_interval
        values["false_alarm_rate_interval"] = self.false_alarm_rate_interval
        values["warnings"] = self.warnings
        values["operating_points"] = [as_values(p, self.costs) for p in self.operating_points]
        if self.costs and self.least_cost:
            values["least_cost"] = as_values(self.least_cost, self.costs)
        for name, kind in self.kinds.items():
            values["kinds"][name]["recall_interval"] = kind.recall_interval
        without_nan: dict[str, Any] = _none_for_nan(values)
        return without_nan


def summarise(
    results: Iterable[ImageResult], threshold: float, pixels: PixelResult | None, **about: Any
) -> Evaluation:
    """The evaluation of some results.

    >>> results = [
    ...     ImageResult("a.png", "negative", "", 0.1, "pass"),
    ...     ImageResult("b.png", "negative", "", 0.6, "reject"),
    ...     ImageResult("c.png", "positive", "crack", 0.4, "pass"),
    ...     ImageResult("d.png", "positive", "crack", 0.9, "reject"),
    ... ]
    >>> about = {"dataset": "metal", "split": "test", "scoring": "ratio", "backbone": "resnet18"}
    >>> about |= {"weights_sha256": "", "size": "64x64", "seed": 0}
    >>> evaluation = summarise(results, threshold=0.5, pixels=None, **about)
    >>> evaluation.recall, evaluation.false_alarm_rate, evaluation.image_auroc
    (0.5, 0.5, 0.75)
    >>> evaluation.kinds
    {'crack': KindResult(n=2, recall=0.5, auroc=0.75)}

    Args:
        results: of each image.
        threshold: the model's own.
        pixels: metrics of the anomaly maps; None where they were not evaluated.
        **about: the fields of `Evaluation` that say what was evaluated: `dataset`, `split`, and
            what the detector's `about` returns.
    """
    images = tuple(results)
    scores = np.array([r.score for r in images], dtype=np.float64)
    labels = np.array([r.is_defective for r in images], dtype=bool)
    rejected = np.array([r.is_rejected for r in images], dtype=bool)
    flagged = np.array([r.verdict != "pass" for r in images], dtype=bool)
    pixels = pixels or PixelResult(math.nan, math.nan, math.nan, math.nan)
    return Evaluation(
        threshold=float(threshold),
        recall=_share(rejected[labels]),
        false_alarm_rate=_share(rejected[~labels]),
        recall_with_review=_share(flagged[labels]),
        review_rate=_share(flagged[~labels] & ~rejected[~labels]),
        image_auroc=auroc(scores, labels),
        image_ap=average_precision(scores, labels),
        best_f1=best_f1(scores, labels),
        recall_at_fpr_01=recall_at_fpr(scores, labels, 0.01),
        recall_at_fpr_05=recall_at_fpr(scores, labels, 0.05),
        pixel_auroc=pixels.auroc,
        pixel_auroc_error_bound=pixels.auroc_error_bound,
        pixel_ap=pixels.ap,
        aupro=pixels.aupro,
        n_test_normal=int((~labels).sum()),
        n_test_defective=int(labels.sum()),
        kinds=_by_kind(images, scores, labels, rejected),
        images=images,
        **about,
    )


def _by_kind(
    images: Sequence[ImageResult],
    scores: NDArray[np.float64],
    labels: NDArray[np.bool_],
    rejected: NDArray[np.bool_],
) -> dict[str, KindResult]:
    kinds = np.array([r.kind if r.is_defective else "" for r in images], dtype=object)
    results = {}
    for kind in sorted(set(kinds) - {""}):
        of_kind = kinds == kind
        compared = of_kind | ~labels
        results[kind] = KindResult(
            n=int(of_kind.sum()),
            recall=_share(rejected[of_kind]),
            auroc=auroc(scores[compared], labels[compared]),
        )
    return results


def _share(chosen: NDArray[np.bool_]) -> float:
    return float(chosen.mean()) if chosen.size else math.nan


def _none_for_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _none_for_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_none_for_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
