"""`patchcore-dual threshold`: set the thresholds of a model anew, without images or PyTorch."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchcore_dual.cli.choices import AsJson
from patchcore_dual.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from patchcore_dual.model import Model
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
    miss_cost: Annotated[
        float | None, typer.Option(help="What a defective part that passes costs.")
    ] = None,
    false_alarm_cost: Annotated[
        float | None, typer.Option(help="What a normal part that is rejected costs.")
    ] = None,
    defect_share: Annotated[
        float | None, typer.Option(help="Share of all parts that are defective.")
    ] = None,
    review_rate: Annotated[
        float | None,
        typer.Option(
            help="Share of normal parts that may be rejected or sent to review.",
            show_default="as the model has it",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what other thresholds would find, or set one without fitting again.

    Set it by the false-alarm rate, by the recall on held-out training defects,
    or by least expected cost, with both costs and the share of defects.

    Example: patchcore-dual threshold model --false-alarm-rate 0.02
    """
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.model import load_model, update_model
    from patchcore_dual.scoring.operating_points import operating_point, operating_points, table

    costs = _costs(miss_cost, false_alarm_cost, defect_share)
    ways = [way for way in (false_alarm_rate, recall, costs) if way is not None]
    if len(ways) > 1:
        raise SettingsError("give one of --false-alarm-rate, --recall and costs, not several.")
    for name, rate in (
        ("--false-alarm-rate", false_alarm_rate),
        ("--recall", recall),
        ("--review-rate", review_rate),
    ):
        _check_share(name, rate)
    before = load_model(model)
    if before.calibration is None:
        raise ModelError(
            f"{model} keeps no scores of its training images, by which a threshold could be set. "
            "Fit it again."
        )
    results = before.calibration.results(before.rule)
    after = before
    if ways or review_rate is not None:
        if ways:
            image = _choose(results, false_alarm_rate, recall, costs)
        else:
            image = before.thresholds.image
        if review_rate is None:
            review_rate = before.settings.review_rate
        after = before.with_threshold(image, review_rate)
        update_model(after, model)
    points = operating_points(results)
    if as_json:
        at_it = asdict(operating_point(results, after.thresholds.image))
        if costs:
            at_it["cost"] = costs.expected(operating_point(results, after.thresholds.image))
        print_json(
            {
                "model": str(model),
                "threshold_before": before.thresholds.image.value,
                **at_it,
                "review": asdict(after.thresholds.review),
                "review_share_expected": after.thresholds.review_share,
                "operating_points": [asdict(point) for point in points],
            }
        )
        return
    _print_change(before, after)
    print("Held-out training defects that are found, at this threshold and at others:")
    chosen = operating_point(results, after.thresholds.image)
    for line in table([chosen, *points], costs):
        print(line)


def _choose(
    results: "HeldOutResults",
    false_alarm_rate: float | None,
    recall: float | None,
    costs: "Costs | None",
) -> "Threshold":
    """The threshold of the one way that is given."""
    from patchcore_dual.scoring.operating_points import (
        threshold_for_recall,
        threshold_of_least_cost,
    )

    if false_alarm_rate is not None:
        return results.normals.threshold(false_alarm_rate)
    if not len(results.known):
        raise SettingsError(
            "the model holds no scores of held-out defects, by which recall or cost could be "
            "measured. Use --false-alarm-rate."
        )
    if recall is not None:
        return threshold_for_recall(results, recall)
    assert costs is not None
    return threshold_of_least_cost(results, costs)


def _print_change(before: "Model", after: "Model") -> None:
    value = before.thresholds.image.value
    if after is not before:
        print(f"Was {value:.4g}; the false-alarm rate was {before.settings.false_alarm_rate:g}.")
    print(after.thresholds.image)
    print(after.thresholds.review_text())


def _check_share(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < 1:
        raise SettingsError(f"{name} is {value:g}; give a number between 0 and 1, as 0.02.")


def _costs(
    miss: float | None, false_alarm: float | None, defect_share: float | None
) -> "Costs | None":
    """The costs; None where none of the three is given."""
    import math

    from patchcore_dual.scoring.operating_points import Costs

    if miss is None and false_alarm is None and defect_share is None:
        return None
    if miss is None or false_alarm is None or defect_share is None:
        raise SettingsError(
            "a cost takes all of --miss-cost, --false-alarm-cost and --defect-share."
        )
    for name, value in (("--miss-cost", miss), ("--false-alarm-cost", false_alarm)):
        if not (value > 0 and math.isfinite(value)):
            raise SettingsError(f"{name} is {value:g}; give a number above 0.")
    _check_share("--defect-share", defect_share)
    return Costs(miss, false_alarm, defect_share)
