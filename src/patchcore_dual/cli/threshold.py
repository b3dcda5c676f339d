"""`patchcore-dual threshold`: set the thresholds of a model anew, without images or PyTorch."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

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
from patchcore_dual.errors import SettingsError


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
    from patchcore_dual.live.threshold import set_thresholds
    from patchcore_dual.scoring.operating_points import as_values, operating_point

    costs = parse_costs(miss_cost, false_alarm_cost, defect_share)
    for name, rate in (("--false-alarm-rate", false_alarm_rate), ("--review-rate", review_rate)):
        check_share(name, rate)
    if recall is not None and not 0 < recall <= 1:
        raise SettingsError(f"--recall is {recall:g}; give a number above 0, and at most 1.")
    done = set_thresholds(
        model,
        false_alarm_rate=false_alarm_rate,
        recall=recall,
        costs=costs,
        review_rate=review_rate,
        by=by or "",
        why=why,
    )
    before, after, results = done.before, done.after, done.results
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
