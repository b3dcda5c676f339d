"""The figures of an evaluation as texts, for the terminal and for pages."""

import math
from collections.abc import Iterable

from patchcore_dual.evaluation.headline import count_parts
from patchcore_dual.evaluation.metric_labels import Metric
from patchcore_dual.evaluation.results import Evaluation
from patchcore_dual.scoring.thresholds import Threshold, percent

DAGGER = "†"


def figure(evaluation: Evaluation, metric: Metric) -> str:
    """The value of a metric, with a dagger where the model was fitted on images of it."""
    text = metric.text(getattr(evaluation, metric.field))
    return f"{text} {DAGGER}" if evaluation.n_training_images else text


def is_defined(metric: Metric, evaluations: Iterable[Evaluation]) -> bool:
    """Whether any of the evaluations defines a metric."""
    return any(not math.isnan(getattr(e, metric.field)) for e in evaluations)


def counted(evaluation: Evaluation, metric: Metric) -> str:
    """The numbers behind recall and false-alarm rate, "7 of 10"; empty for other metrics."""
    if metric.field == "recall" and evaluation.n_test_defective:
        return f"{evaluation.count('found')} of {evaluation.n_test_defective}"
    if metric.field == "false_alarm_rate" and evaluation.n_test_normal:
        return f"{evaluation.count('false alarm')} of {evaluation.n_test_normal}"
    return ""


def counted_parts(evaluation: Evaluation, metric: Metric) -> str:
    """The same in words, "7 of 10 defective parts"."""
    numbers = counted(evaluation, metric)
    if not numbers:
        return ""
    is_recall = metric.field == "recall"
    n = evaluation.n_test_defective if is_recall else evaluation.n_test_normal
    parts = count_parts(n, "defective" if is_recall else "normal")
    return f"{numbers.split(' of ')[0]} of {parts}"


def interval(evaluation: Evaluation, metric: Metric) -> str:
    """The 95 % interval of recall and false-alarm rate; empty for other metrics."""
    if metric.field not in ("recall", "false_alarm_rate"):
        return ""
    return metric.interval_text(getattr(evaluation, f"{metric.field}_interval"))


def rate_text(rate: float) -> str:
    """A false-alarm rate as it is printed; a dash for NaN.

    >>> rate_text(0.0165), rate_text(math.nan)
    ('1.7 %', '–')
    """
    return "–" if math.isnan(rate) else percent(rate)


def threshold_text(evaluation: Evaluation) -> str:
    """What the threshold is expected to do, what it promises, and from what, in sentences."""
    threshold = threshold_of(evaluation)
    return str(threshold) if threshold else "Set when the model was fitted."


def threshold_of(evaluation: Evaluation) -> Threshold | None:
    """The model's threshold with its rates; None where they are not known."""
    e = evaluation
    if not e.n_threshold_images or math.isnan(e.false_alarm_rate_promised):
        return None
    return Threshold(
        e.threshold,
        e.false_alarm_rate_asked,
        e.false_alarm_rate_promised,
        e.false_alarm_rate_expected,
        e.n_threshold_images,
        e.n_threshold_groups or e.n_threshold_images,
    )
