"""The figures of an evaluation as texts, for the terminal and for pages."""

import math
from collections.abc import Iterable

from patchcore_dual.evaluation.headline import count_parts
from patchcore_dual.evaluation.metric_labels import Metric
from patchcore_dual.evaluation.results import Evaluation

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


def allowed_text(evaluation: Evaluation) -> str:
    """The false-alarm rate that the threshold allows; a dash where it is not known.

    >>> from patchcore_dual.evaluation.results import summarise
    >>> about = {"dataset": "", "split": "test", "scoring": "", "backbone": "", "size": ""}
    >>> about |= {"weights_sha256": "", "seed": 0, "false_alarm_rate_allowed": 0.05}
    >>> allowed_text(summarise([], 0.5, None, **about))
    '5.0 %'
    """
    rate = evaluation.false_alarm_rate_allowed
    return "–" if math.isnan(rate) else f"{100 * rate:.1f} %"


def threshold_text(evaluation: Evaluation) -> str:
    """What the threshold allows and what stands behind it, in a sentence."""
    n, allowed = evaluation.n_threshold_images, evaluation.false_alarm_rate_allowed
    if not n or math.isnan(allowed):
        return "Set when the model was fitted."
    text = (
        f"Set on {count_parts(n, 'normal')} of the training images so that at most "
        f"{allowed_text(evaluation)} of normal parts are rejected, on average."
    )
    if allowed > evaluation.false_alarm_rate_asked:
        asked = 100 * evaluation.false_alarm_rate_asked
        text += f" {asked:.1f} % was asked for, which takes {images_for(evaluation)} of them."
    return text


def images_for(evaluation: Evaluation) -> int:
    """The number of normal training images that the asked false-alarm rate takes."""
    return math.ceil(1 / evaluation.false_alarm_rate_asked - 1 - 1e-9)
