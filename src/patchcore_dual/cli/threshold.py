"""`patchcore-dual threshold`: set the thresholds of a model anew, without images or PyTorch."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchcore_dual.cli.choices import (
    AsJson,
    By,
    DefectShare,
    FalseAlarmCost,
    MissCost,
    Why,
    check_share,
    parse_costs,
)
from patchcore_dual.cli.fit_summary import operating_lines
from patchcore_dual.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from patchcore_dual.scoring.operating_points import Costs, HeldOutResults
    from patchcore_dual.scoring.thresholds import Threshold


def threshold(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made.")],
    false_alarm_rate: Annotated[
        float | None, typer.Option(help="Share of normal parts that may be rejected.")
    ] = None,
    recall: Annotated[
        float | None, typer.Option(help="Share of held-out defects that has to be found.")
    ] = None,
    miss_cost: MissCost = None,
    false_alarm_cost: FalseAlarmCost = None,
    defect_share: DefectShare = None,
    review_rate: Annotated[
        float | None,
        typer.Option(
            help="Share of normal parts that may be rejected or sent to review.",
            show_default="as the model has it",
        ),
    ] = None,
    by: By = None,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Show what other thresholds would find, or set one without fitting again.

    Set it by the false-alarm rate, by the recall on held-out training defects,
    or by least expected cost, with both costs and the share of defects.

    Example: patchcore-dual threshold model --false-alarm-rate 0.02
    """
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.model import Edit, commit, editing, load_model
    from patchcore_dual.scoring.operating_points import as_values, operating_point

    costs = parse_costs(miss_cost, false_alarm_cost, defect_share)
    ways = [way for way in (false_alarm_rate, recall, costs) if way is not None]
    if len(ways) > 1:
        raise SettingsError("give one of --false-alarm-rate, --recall and costs, not several.")
    for name, rate in (("--false-alarm-rate", false_alarm_rate), ("--review-rate", review_rate)):
        check_share(name, rate)
    if recall is not None and not 0 < recall <= 1:
        raise SettingsError(f"--recall is {recall:g}; give a number above 0, and at most 1.")
    is_set = bool(ways) or review_rate is not None
    with editing(model) if is_set else nullcontext():
        before = load_model(model)
        results = before.held_out
        if results is None:
            raise ModelError(
                f"{model} keeps no scores of its training images, by which a threshold could be "
                "set. Fit it again."
            )
        after = before
        if is_set:
            image = before.thresholds.image
            if ways:
                image = _choose(results, false_alarm_rate, recall, costs)
            if review_rate is None:
                review_rate = before.settings.review_rate
            after = before.with_threshold(image, review_rate)
            effects = {
                "image threshold": [m.thresholds.image.value for m in (before, after)],
                "false alarms expected": [m.thresholds.image.expected for m in (before, after)],
                "review threshold": [m.thresholds.review.value for m in (before, after)],
            }
            commit(model, after, Edit("threshold", by=by or "", why=why, effects=effects))
    if as_json:
        print_json(
            {
                "model": str(model),
                "threshold_before": before.thresholds.image.value,
                **as_values(operating_point(results, after.thresholds.image), costs),
                "review": asdict(after.thresholds.review),
                "review_share_expected": after.thresholds.review_share,
                "operating_points": [as_values(p, costs) for p in after.operating_points()],
            }
        )
        return
    if after is not before:
        value, rate = before.thresholds.image.value, before.settings.false_alarm_rate
        print(f"Was {value:.4g}, for a false-alarm rate of {rate:g}.")
    print(after.thresholds.image)
    print(after.thresholds.review_text())
    own = after.thresholds.image.value
    for line in operating_lines(after.operating_points(), own, costs):
        print(line)


def _choose(
    results: "HeldOutResults",
    false_alarm_rate: float | None,
    recall: float | None,
    costs: "Costs | None",
) -> "Threshold":
    """The threshold of the one way that is given."""
    from patchcore_dual.scoring.operating_points import cheapest_point, threshold_for_recall

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
