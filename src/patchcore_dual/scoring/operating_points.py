"""What a threshold would find, for several false-alarm rates, and which one costs least."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from patchcore_dual.scoring.thresholds import HeldOutScores, Threshold, percent

RATES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1)
WORTH_SAYING = 0.2  # gain in recall from which another threshold is recommended


@dataclass(frozen=True, eq=False)
class HeldOutResults:
    """Image scores of held-out training images.

    Attributes:
        normals: of the normal images.
        known: `[m]`, of the defective images that were scored with defects of other folds known.
        left_out: for each kind (or cluster) of defects, the scores of its images as if it had never
            been seen.
    """

    normals: HeldOutScores
    known: np.ndarray
    left_out: Sequence[np.ndarray] = ()


@dataclass(frozen=True)
class OperatingPoint:
    """What one threshold does.

    Attributes:
        threshold: with its expected and promised false-alarm rate.
        recall_known: share of held-out defects of known kinds that it finds; None without any.
        recall_left_out: mean share of the defects of a left-out kind that it finds; None where
            none was left out.
        rejected_of_1000: how many of 1,000 normal parts it is expected to reject.
    """

    threshold: Threshold
    recall_known: float | None
    recall_left_out: float | None
    rejected_of_1000: float


def operating_points(
    results: HeldOutResults, rates: Sequence[float] = RATES
) -> tuple[OperatingPoint, ...]:
    """What the thresholds for some false-alarm rates do, in the order of the rates.

    >>> results = HeldOutResults(HeldOutScores(np.arange(1, 200)), np.array([150.5, 198.5, 300]))
    >>> for point in operating_points(results, (0.01, 0.1)):
    ...     print(point.threshold.value, round(point.recall_known, 2), point.rejected_of_1000)
    198.0 0.67 10.0
    180.0 0.67 100.0
    """
    return tuple(operating_point(results, results.normals.threshold(rate)) for rate in rates)


def operating_point(results: HeldOutResults, threshold: Threshold) -> OperatingPoint:
    """What one threshold does."""
    found = [float((scores > threshold.value).mean()) for scores in results.left_out]
    return OperatingPoint(
        threshold,
        float((results.known > threshold.value).mean()) if len(results.known) else None,
        float(np.mean(found)) if found else None,
        round(1000 * threshold.expected, 2),
    )


def threshold_for_recall(results: HeldOutResults, recall: float) -> Threshold:
    """The highest threshold that finds a share of the held-out defects of known kinds.

    Args:
        results: with at least one such defect.
        recall: the share, above 0 and at most 1.
    """
    ordered = np.sort(results.known)[::-1]
    count = max(1, math.ceil(recall * len(ordered) - 1e-9))
    lowest = ordered[count - 1]
    return results.normals.at(float(np.nextafter(lowest, -np.inf)))


@dataclass(frozen=True)
class Costs:
    """What mistakes cost, in any one unit.

    Attributes:
        miss: of a defective part that passes.
        false_alarm: of a normal part that is rejected.
        defect_share: the share of defective parts, between 0 and 1.
    """

    miss: float
    false_alarm: float
    defect_share: float

    def expected(self, point: OperatingPoint) -> float | None:
        """The expected cost of a part; None without held-out defects.

        >>> results = HeldOutResults(HeldOutScores(np.arange(1, 200)), np.array([150.5, 198.5]))
        >>> (point,) = operating_points(results, [0.01])
        >>> round(Costs(miss=100, false_alarm=1, defect_share=0.02).expected(point), 4)
        1.0098
        """
        if point.recall_known is None:
            return None
        misses = self.defect_share * self.miss * (1 - point.recall_known)
        return misses + (1 - self.defect_share) * self.false_alarm * point.threshold.expected


def cheapest_point(results: HeldOutResults, costs: Costs) -> OperatingPoint | None:
    """The operating point of least expected cost, by held-out images; None without defects.

    Recall changes at the scores of the defects alone, and false alarms only grow rarer in between:
    the candidates lie just below these scores, and above all scores.
    """
    if not len(results.known):
        return None
    below = np.nextafter(np.unique(results.known), -np.inf)
    highest = max(float(results.known.max()), float(np.max(results.normals.scores)))
    points = [
        operating_point(results, results.normals.at(float(value))) for value in (*below, highest)
    ]
    return min(points, key=lambda p: (costs.expected(p) or 0.0, -p.threshold.value))


def as_values(point: OperatingPoint, costs: Costs | None = None) -> dict[str, Any]:
    """An operating point as plain values, with its `cost` where costs are given."""
    values = asdict(point)
    return {**values, "cost": costs.expected(point)} if costs else values


def table(
    points: Sequence[OperatingPoint], costs: Costs | None = None, own: float | None = None
) -> list[str]:
    """The lines of a table of operating points, at most 80 columns wide.

    Args:
        points: a line each.
        costs: for a column with the expected cost of a part.
        own: the model's own threshold, which an asterisk marks.
    """
    heading = (
        f"{'allowed':>8} {'threshold':>10} {'expected':>9} {'promised':>9} "
        f"{'known':>7} {'left-out':>9} {'of 1,000':>9}"
    )
    lines = [heading + (f"{'cost':>7}" if costs else "")]
    for point in points:
        t = point.threshold
        lines.append(
            f"{'* ' if t.value == own else ''}{percent(t.asked)}".rjust(8)
            + f" {t.value:>10.4g} {percent(t.expected):>9} "
            f"{percent(t.promised):>9} {share(point.recall_known):>7} "
            f"{share(point.recall_left_out):>9} {point.rejected_of_1000:>9.3g}"
            + (f" {cost_text(costs.expected(point)):>6}" if costs else "")
        )
    return lines


def looser_text(points: Sequence[OperatingPoint], own: float, model: str) -> str:
    """Which threshold would find far more defects, and the command that sets it; empty for none.

    Args:
        points: of `operating_points`, the model's own among them.
        own: the model's own threshold.
        model: the folder of the model.

    >>> results = HeldOutResults(HeldOutScores(np.arange(1, 200)), np.array([196.5, 195, 300]))
    >>> text = looser_text(operating_points(results), 198.0, "model")
    >>> for sentence in text.split(". "):
    ...     print(sentence)
    Of the held-out defects this threshold finds 33 %; with 2.0 % false alarms it would be 67 %
    Set that with: patchcore-dual threshold model --false-alarm-rate 0.02
    """
    recall = {p.threshold.value: p.recall_known for p in points if p.recall_known is not None}
    worthy = [
        p for p in points if own in recall and (p.recall_known or 0) >= recall[own] + WORTH_SAYING
    ]
    if not worthy:
        return ""
    other = min(worthy, key=lambda p: p.threshold.asked)
    return (
        f"Of the held-out defects this threshold finds {share(recall[own])}; with "
        f"{percent(other.threshold.expected)} false alarms it would be "
        f"{share(other.recall_known)}. Set that with: patchcore-dual threshold {model} "
        f"--false-alarm-rate {other.threshold.asked:g}"
    )


def least_cost_text(point: OperatingPoint | None, costs: Costs, model: str) -> str:
    """Which threshold costs least, and the command that sets it, in sentences.

    Args:
        point: of `cheapest_point`.
        costs: given by the user.
        model: the folder of the model.
    """
    if point is None:
        return "No costs: there are no held-out defects by which misses could be counted."
    return (
        f"Least expected cost, {cost_text(costs.expected(point))} a part: threshold "
        f"{point.threshold.value:.4g}, with {percent(point.threshold.expected)} false alarms "
        f"expected and {share(point.recall_known)} of the held-out defects found. Set it with: "
        f"patchcore-dual threshold {model} --miss-cost {costs.miss:g} "
        f"--false-alarm-cost {costs.false_alarm:g} --defect-share {costs.defect_share:g}"
    )


def cost_text(cost: float | None) -> str:
    """A cost as it is printed; a dash for None."""
    return "–" if cost is None else f"{cost:.3g}"


def share(value: float | None) -> str:
    """A recall as it is printed; a dash for None.

    >>> share(0.834), share(None)
    ('83 %', '–')
    """
    return "–" if value is None else f"{100 * value:.0f} %"
