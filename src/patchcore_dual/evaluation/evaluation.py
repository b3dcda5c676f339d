"""A model judged on a prepared data set: `evaluate` runs it, `Evaluation` is what came out."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.manifest import Label, Manifest, Sample, Split
from patchcore_dual.data.reading import read_mask
from patchcore_dual.errors import DataError, ImageError
from patchcore_dual.evaluation.metrics import auroc, average_precision, best_f1, recall_at_fpr
from patchcore_dual.evaluation.pixel_metrics import PixelMetrics, PixelResult
from patchcore_dual.scoring.inspection import Inspection
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.progress import Progress, silent

Outcome = Literal["miss", "false alarm", "found", "passed"]


@dataclass(frozen=True)
class ImageResult:
    """What the model said of one image. `path` is relative to the prepared folder."""

    path: str
    label: Label
    kind: str
    score: float
    verdict: str

    @property
    def is_defective(self) -> bool:
        return self.label == "positive"

    @property
    def is_rejected(self) -> bool:
        return self.verdict == "reject"

    @property
    def outcome(self) -> Outcome:
        if self.is_defective:
            return "found" if self.is_rejected else "miss"
        return "false alarm" if self.is_rejected else "passed"


@dataclass(frozen=True)
class KindResult:
    """One kind of defect against all good images; `recall` at the model's own threshold."""

    n: int
    recall: float
    auroc: float


@dataclass(frozen=True)
class Evaluation:
    """Every figure of one evaluation; NaN where one is undefined.

    `threshold`, `recall` and `false_alarm_rate` are the model's own, as it would run on the line.
    `recall_with_review` counts defective images sent to review as found; `review_rate` is the
    share of good images sent there.
    `recall_at_fpr_01` and `_05` are read from the test images' ROC curve, at false-alarm rates of
    1 % and 5 %. `kinds` is empty where defects have no named kind. `synthetic_images` counts those
    that the model was trained on by generator; `test_masks_used` says that some of them borrowed
    masks of test defects, so that figures on those are flattered.
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

    def count(self, outcome: Outcome) -> int:
        """How many images came out as "miss", "false alarm", "found" or "passed"."""
        return sum(r.outcome == outcome for r in self.images)

    @property
    def synthetic_note(self) -> str:
        """Which synthetic images the model was trained on, in words."""
        made = ", ".join(f"{n} {origin}" for origin, n in self.synthetic_images.items())
        return f"{made}, with masks of test defects" if self.test_masks_used else made or "none"

    @property
    def scores(self) -> NDArray[np.float64]:
        """Image scores, float64 [n]."""
        return np.array([r.score for r in self.images], dtype=np.float64)

    @property
    def labels(self) -> NDArray[np.bool_]:
        """True for a defective image, bool [n]."""
        return np.array([r.is_defective for r in self.images], dtype=bool)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; None for NaN."""
        values: dict[str, Any] = _none_for_nan(asdict(self))
        return values


class Detector(Protocol):
    """What an evaluation asks of a detector."""

    def inspect_many(self, images: Iterable[Path], /) -> Iterable[Inspection]:
        """An inspection of each image, in order and one at a time."""
        ...

    def about(self) -> dict[str, Any]:
        """What a report says of the model: the fields of `Evaluation` from `scoring` on."""
        ...


def evaluate(
    detector: Detector,
    manifest: Manifest,
    split: Split = "test",
    on_result: Callable[[ImageResult, Inspection], None] | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Inspect every image of one split and gather the metrics, one image in memory at a time.

    `on_result` gets each image's result and inspection as they come. Raises DataError where the
    split has no images and ImageError where a mask does not have its image's size.
    """
    samples = manifest.real().part(split).samples
    if not samples:
        raise DataError(f"{manifest.folder} has no {split} images to evaluate on.")
    pixel_metrics = PixelMetrics()
    results = []
    threshold = math.nan
    inspections = detector.inspect_many([manifest.image_path(s) for s in samples])
    for sample, inspection in zip(samples, inspections, strict=True):
        threshold = inspection.threshold
        result = ImageResult(
            sample.image, sample.label, sample.kind, float(inspection.score), inspection.verdict
        )
        results.append(result)
        mask = known_mask(manifest, sample, inspection.anomaly_map.shape)
        if mask is not None:
            pixel_metrics.update(inspection.anomaly_map, mask)
        if on_result:
            on_result(result, inspection)
        progress("evaluating", len(results), len(samples))
    return summarise(
        results,
        threshold,
        pixel_metrics.compute(),
        dataset=manifest.folder.resolve().name,
        split=split,
        **detector.about(),
    )


def summarise(
    results: Iterable[ImageResult], threshold: float, pixels: PixelResult | None, **about: Any
) -> Evaluation:
    """All figures of the given results at the model's own threshold.

    `about` holds `dataset`, `split` and what the detector's `about` gives.
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


def write_scores(evaluation: Evaluation, path: Path) -> None:
    """Write a CSV file: path, label, kind, score and verdict of each image."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(f.name for f in fields(ImageResult))
    writer.writerows(astuple(result) for result in evaluation.images)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue().encode())


def known_mask(
    manifest: Manifest, sample: Sample, shape: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    """The defect mask, bool [H, W]; None where it is not known where the defect lies."""
    path = manifest.mask_path(sample)
    if path is None:
        return None if sample.is_defective else np.zeros(shape, dtype=bool)
    mask = read_mask(path)
    if mask.shape != shape:
        raise ImageError(
            f"{path} is {mask.shape[1]}x{mask.shape[0]}, its image {shape[1]}x{shape[0]}. "
            "Prepare the data set again."
        )
    return mask


def _by_kind(
    images: Sequence[ImageResult],
    scores: NDArray[np.float64],
    labels: NDArray[np.bool_],
    rejected: NDArray[np.bool_],
) -> dict[str, KindResult]:
    kinds = np.array([r.kind if r.is_defective else "" for r in images], dtype=object)
    found = {}
    for kind in sorted(set(kinds) - {""}):
        of_kind = kinds == kind
        judged = of_kind | ~labels
        found[kind] = KindResult(
            n=int(of_kind.sum()),
            recall=_share(rejected[of_kind]),
            auroc=auroc(scores[judged], labels[judged]),
        )
    return found


def _share(chosen: NDArray[np.bool_]) -> float:
    return float(chosen.mean()) if chosen.size else math.nan


def _none_for_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _none_for_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_none_for_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
