"""The metrics as tables and pages print them: name, meaning, format and direction."""

import math
from typing import NamedTuple


class Metric(NamedTuple):
    """How one field of `Evaluation` is printed.

    >>> METRICS["recall"].text(2 / 3)
    '66.7 %'
    >>> METRICS["image_auroc"].text(float("nan"))
    '–'

    Attributes:
        field: its name in `Evaluation`.
        name: as a heading.
        meaning: a short explanation.
        is_percent: printed in per cent.
        lower_is_better: whether a smaller value is the better one.
    """

    field: str
    name: str
    meaning: str
    is_percent: bool = False
    lower_is_better: bool = False

    def interval_text(self, interval: tuple[float, float]) -> str:
        """A 95 % interval as it is printed, "35 to 93 %"; empty for NaN.

        >>> METRICS["recall"].interval_text((0.348, 0.933))
        '35 to 93 %'
        """
        low, high = (100 * end for end in interval)
        if math.isnan(low):
            return ""
        digits = 1 if high - low < 10 else 0
        return f"{low:.{digits}f} to {high:.{digits}f} %"

    def text(self, value: float) -> str:
        """A value as it is printed; a dash for NaN."""
        if math.isnan(value):
            return "–"
        return f"{100 * value:.1f} %" if self.is_percent else f"{value:.3f}"


OPERATING_POINT = (
    Metric("recall", "Recall", "at the model's own threshold", True),
    Metric("false_alarm_rate", "False-alarm rate", "at the model's own threshold", True, True),
    Metric("recall_with_review", "Recall with review", "rejected or sent to review", True),
    Metric("review_rate", "Normal parts reviewed", "sent to review, not rejected", True, True),
)
IMAGE_METRICS = (
    Metric("image_auroc", "Image AUROC", "how often a defective part outscores a normal one"),
    Metric("image_ap", "Image AP", "precision averaged over recall"),
    Metric("best_f1", "Best F1", "at the best threshold in hindsight"),
    Metric("recall_at_fpr_01", "Recall at 1 % false alarms", "read from the ROC curve", True),
    Metric("recall_at_fpr_05", "Recall at 5 % false alarms", "read from the ROC curve", True),
)
PIXEL_METRICS = (
    Metric("pixel_auroc", "Pixel AUROC", "how often a defective pixel outscores a normal one"),
    Metric("pixel_ap", "Pixel AP", "precision averaged over recall, pixel by pixel"),
    Metric("aupro", "AUPRO", "overlap per defect region, up to 30 % false positives"),
)
GROUPS = {
    "At the model's own threshold": OPERATING_POINT,
    "Image scores": IMAGE_METRICS,
    "Anomaly maps": PIXEL_METRICS,
}
METRICS = {metric.field: metric for group in GROUPS.values() for metric in group}
