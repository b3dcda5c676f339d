"""Setting the thresholds of a model anew, by its calibration set: no image is needed."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from patchcore_dual.errors import ModelError, SettingsError
from patchcore_dual.model import Edit, Model, Version, commit, editing, load_model
from patchcore_dual.scoring import HeldOutResults, Threshold
from patchcore_dual.scoring.operating_points import Costs, cheapest_point, threshold_for_recall


@dataclass(frozen=True)
class NewThresholds:
    """What came of setting thresholds.

    Attributes:
        before, after: the models; the same where nothing was asked for.
        results: the held-out scores that both rest on.
        version: that is in place now; None where nothing was to be changed.
    """

    before: Model
    after: Model
    results: HeldOutResults
    version: Version | None = None


def set_thresholds(
    folder: Path,
    *,
    false_alarm_rate: float | None = None,
    recall: float | None = None,
    costs: Costs | None = None,
    review_rate: float | None = None,
    by: str = "",
    why: str = "",
    dry_run: bool = False,
) -> NewThresholds:
    """Set the image threshold in one of three ways, and the threshold of review.

    Args:
        folder: of the model.
        false_alarm_rate: share of normal parts that may be rejected.
        recall: share of the held-out defects that is to be found.
        costs: of which the expected one is to be least.
        review_rate: share of normal parts that may be rejected or sent to review; None for what the
            model has.
        by, why: for the ledger.
        dry_run: only show what would change.

    Raises:
        ModelError: without a calibration set, or as `editing`.
        SettingsError: for several ways at once, or one that needs defects where there are none.
    """
    ways = [way for way in (false_alarm_rate, recall, costs) if way is not None]
    if len(ways) > 1:
        raise SettingsError("give one of --false-alarm-rate, --recall and costs, not several.")
    is_set = (bool(ways) or review_rate is not None) and not dry_run
    with editing(folder) if is_set else nullcontext():
        before = load_model(folder)
        results = before.held_out
        if results is None:
            raise ModelError(
                f"{folder} keeps no scores of its training images, by which a threshold could be "
                "set. Fit it again."
            )
        if not ways and review_rate is None:
            return NewThresholds(before, before, results)
        image = before.thresholds.image
        if ways:
            image = _choose(results, false_alarm_rate, recall, costs)
        if review_rate is None:
            review_rate = before.settings.review_rate
        after = before.with_threshold(image, review_rate)
        if not is_set:
            return NewThresholds(before, after, results)
        models = (before, after)
        effects = {
            "image threshold": [m.thresholds.image.value for m in models],
            "false alarms expected": [m.thresholds.image.expected for m in models],
            "review threshold": [m.thresholds.review.value for m in models],
        }
        version = commit(folder, after, Edit("threshold", by=by, why=why, effects=effects))
        return NewThresholds(before, after, results, version)


def _choose(
    results: HeldOutResults,
    false_alarm_rate: float | None,
    recall: float | None,
    costs: Costs | None,
) -> Threshold:
    """The threshold of the one way that is given."""
    if false_alarm_rate is not None:
        return results.normals.threshold(false_alarm_rate)
    cheapest = cheapest_point(results, costs) if costs else None
    if cheapest is not None:
        return cheapest.threshold
    if not len(results.known):
        raise SettingsError(
            "the model holds no scores of held-out defects, by which recall or cost could be "
            "measured. Use --false-alarm-rate."
        )
    assert recall is not None
    return threshold_for_recall(results, recall)
