"""`patchcore-dual evaluate`: metrics, report, scores and maps on a prepared data set."""

import datetime
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from patchcore_dual.cli.choices import (
    AsJson,
    DefectShare,
    Device,
    FalseAlarmCost,
    MissCost,
    parse_costs,
)
from patchcore_dual.cli.fit_summary import operating_lines
from patchcore_dual.errors import DataError

if TYPE_CHECKING:
    from patchcore_dual.evaluation.results import Evaluation


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` wrote.")],
    prepared: Annotated[Path, typer.Argument(help="A folder that `prepare` wrote.")],
    split: Annotated[
        Literal["test", "train"], typer.Option(help="The images to evaluate on.")
    ] = "test",
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write an HTML report and all metrics as JSON into this folder. A report of "
            "other figures there is kept as report.previous.html.",
            metavar="FOLDER",
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="Write a CSV file with each image's score.", metavar="FILE"),
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(
            help="Write each anomaly map into this folder, as float32 .npy.", metavar="FOLDER"
        ),
    ] = None,
    title: Annotated[
        str,
        typer.Option(help="Title of the report, as the part's name; the data set's by default."),
    ] = "",
    allow_training_images: Annotated[
        bool,
        typer.Option(
            "--allow-training-images",
            help="Evaluate on test images that the model was fitted on, and mark every figure.",
        ),
    ] = False,
    miss_cost: MissCost = None,
    false_alarm_cost: FalseAlarmCost = None,
    defect_share: DefectShare = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure a fitted model on images with known labels.

    Prints recall and false-alarm rate at the model's own threshold, and the
    metrics of image scores and anomaly maps over all thresholds. The report
    adds curves and the worst cases.

    Example:
    patchcore-dual evaluate model prepared --report report
    """
    import numpy as np

    from patchcore_dual.cli.console import print_json, progress_bar
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.evaluation.evaluation import evaluate as run
    from patchcore_dual.evaluation.evaluation import write_scores
    from patchcore_dual.evaluation.image_result import ImageResult
    from patchcore_dual.scoring import Inspection
    from patchcore_dual.scoring.operating_points import cheapest_point, least_cost_text
    from patchcore_dual.utils.dependencies import require
    from patchcore_dual.utils.files import write_atomically

    if report is not None:  # a missing package is reported before the work
        require("a report", "jinja2", "matplotlib")
        from patchcore_dual.evaluation.deciding_cards import deciding_cards
        from patchcore_dual.evaluation.former_report import FIGURES_NAME, keep_former_report
        from patchcore_dual.evaluation.report import report_on
    if scores is not None and _is_within(scores, prepared, model):
        raise DataError(f"--scores {scores} lies in a folder that is read. Give another file.")
    costs = parse_costs(miss_cost, false_alarm_cost, defect_share)
    manifest = Manifest.load(prepared)
    detector = PatchCoreDual.load(model, device=device)
    held_out = detector.model.held_out

    page: Path | None = None
    former: Path | None = None
    problems: list[Exception] = []  # a full disk: the figures are printed all the same

    def write_map(result: ImageResult, inspection: Inspection) -> None:
        if maps is not None and not problems:
            path, array = maps / Path(result.path).with_suffix(".npy"), io.BytesIO()
            np.save(array, inspection.anomaly_map)
            with _writing_problems_in(problems):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, array.getvalue())

    with progress_bar() as progress:
        evaluation = run(
            detector,
            manifest,
            split,
            write_map,
            progress,
            allow_training_images=allow_training_images,
        )
        today = datetime.date.today().isoformat()
        cheapest = cheapest_point(held_out, costs) if costs and held_out else None
        evaluation = replace(
            evaluation,
            model=model.resolve().name,
            date=today,
            costs=costs,
            least_cost=cheapest,
        )
        if report is not None:
            with _writing_problems_in(problems):
                former = keep_former_report(report, evaluation.to_json())
                page = report_on(
                    evaluation,
                    detector,
                    manifest,
                    report,
                    progress,
                    title=title,
                    deciding=deciding_cards(detector.model, manifest),
                )
                text = json.dumps(evaluation.to_json(), indent=1, ensure_ascii=False) + "\n"
                write_atomically(report / FIGURES_NAME, text.encode())
    if scores is not None:
        with _writing_problems_in(problems):
            write_scores(evaluation, scores)
    if as_json:
        print_json(evaluation.to_json())
    else:
        print_table({evaluation.model: evaluation})
        if costs:
            print(least_cost_text(cheapest, costs, str(model)))
        if former is not None:
            print(f"The former report is kept as {former}")
        if page is not None:
            print(f"Report: {page}")
    if problems:
        raise problems[0]


def _is_within(path: Path, *folders: Path) -> bool:
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)


@contextmanager
def _writing_problems_in(problems: list[Exception]) -> Iterator[None]:
    """Put what goes wrong while writing a file into a list."""
    try:
        yield
    except (DataError, OSError) as error:
        problems.append(error)


def print_table(evaluations: dict[str, "Evaluation"]) -> None:
    """Print a row for each metric and a column for each evaluation, then their headlines.

    A metric that none of them defines has no row. A dagger marks figures on training images.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from patchcore_dual.evaluation.advice import advice
    from patchcore_dual.evaluation.figures import (
        DAGGER,
        counted,
        figure,
        interval,
        is_defined,
        rate_text,
    )
    from patchcore_dual.evaluation.headline import headline
    from patchcore_dual.evaluation.metric_labels import GROUPS

    all_of_them = list(evaluations.values())
    table = Table(Column("", no_wrap=True))
    for name in evaluations:
        table.add_column(escape(name), justify="right", overflow="fold")
    for heading, metrics in GROUPS.items():
        shown = [metric for metric in metrics if is_defined(metric, all_of_them)]
        if not shown:
            continue
        table.add_section()
        table.add_row(f"[bold]{heading}[/bold]")
        for metric in shown:
            table.add_row(metric.name, *(figure(e, metric) for e in all_of_them))
            if any(texts := [interval(e, metric) for e in all_of_them]):
                table.add_row("  parts", *(counted(e, metric) for e in all_of_them))
                table.add_row("  true rate (95 %)", *texts)
            if metric.field == "false_alarm_rate":
                for what in ("expected", "promised"):
                    rates = [getattr(e, f"false_alarm_rate_{what}") for e in all_of_them]
                    table.add_row(f"  {what} by the threshold", *map(rate_text, rates))
            if metric.field == "review_rate":
                rates = [e.review_share_expected for e in all_of_them]
                table.add_row("  expected by the thresholds", *map(rate_text, rates))
    console = Console(highlight=False)
    console.print(table)
    if any(e.n_training_images for e in all_of_them):
        console.print(f"{DAGGER} on images that the model was fitted on")
    for name, evaluation in evaluations.items():
        if evaluation.operating_points:
            if len(evaluations) > 1:
                console.print(f"{name}:", markup=False)
            points, threshold = evaluation.operating_points, evaluation.threshold
            for line in operating_lines(points, threshold, evaluation.costs):
                console.print(line, markup=False, soft_wrap=True)
    for name, evaluation in evaluations.items():
        console.print(f"{name}: {headline(evaluation)}", markup=False, soft_wrap=True)
    for name, evaluation in evaluations.items():
        own = "" if len(evaluations) == 1 else f" ({name})"
        console.print(f"Next{own}: {advice(evaluation)[0]}", markup=False, soft_wrap=True)
