"""`patchcore-dual evaluate`: metrics, report, scores and maps on a prepared data set."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from patchcore_dual.cli.choices import AsJson, Device
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
            help="Write an HTML report and all metrics as JSON into this folder.",
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
    from patchcore_dual.evaluation.results import ImageResult
    from patchcore_dual.scoring import Inspection
    from patchcore_dual.utils.dependencies import require
    from patchcore_dual.utils.files import write_atomically

    if report is not None:  # a missing package is reported before the work
        require("a report", "jinja2", "matplotlib")
        from patchcore_dual.evaluation.report import report_on
    manifest = Manifest.load(prepared)
    detector = PatchCoreDual.load(model, device=device)

    page: Path | None = None
    problems: list[Exception] = []  # a full disk: the figures are printed all the same

    def write_map(result: ImageResult, inspection: Inspection) -> None:
        if maps is not None and not problems:
            path, array = maps / Path(result.path).with_suffix(".npy"), io.BytesIO()
            np.save(array, inspection.anomaly_map)
            with _writing_problems_in(problems):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, array.getvalue())

    with progress_bar() as progress:
        evaluation = run(detector, manifest, split, write_map, progress)
        if report is not None:
            with _writing_problems_in(problems):
                page = report_on(evaluation, detector, manifest, report, progress)
                text = json.dumps(evaluation.to_json(), indent=1, ensure_ascii=False) + "\n"
                write_atomically(report / "evaluation.json", text.encode())
    if scores is not None:
        with _writing_problems_in(problems):
            write_scores(evaluation, scores)
    if as_json:
        print_json(evaluation.to_json())
    else:
        print_table({model.name: evaluation})
        if page is not None:
            print(f"Report: {page}")
    if problems:
        raise problems[0]


@contextmanager
def _writing_problems_in(problems: list[Exception]) -> Iterator[None]:
    """Put what goes wrong while writing a file into a list."""
    try:
        yield
    except (DataError, OSError) as error:
        problems.append(error)


def print_table(evaluations: dict[str, "Evaluation"]) -> None:
    """Print a row for each metric and a column for each evaluation, then their headlines."""
    from rich.console import Console
    from rich.table import Table

    from patchcore_dual.evaluation.headline import headline
    from patchcore_dual.evaluation.metric_labels import GROUPS

    table = Table("")
    for name in evaluations:
        table.add_column(name, justify="right")
    for heading, metrics in GROUPS.items():
        table.add_section()
        table.add_row(f"[bold]{heading}[/bold]")
        for metric in metrics:
            values = (getattr(e, metric.field) for e in evaluations.values())
            table.add_row(metric.name, *map(metric.text, values))
    console = Console(highlight=False)
    console.print(table)
    for name, evaluation in evaluations.items():
        console.print(f"{name}: {headline(evaluation)}", markup=False, soft_wrap=True)
