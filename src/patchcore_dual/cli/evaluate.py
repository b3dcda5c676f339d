"""`patchcore-dual evaluate`: figures, report, scores and maps on a prepared data set."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from patchcore_dual.evaluation.evaluation import Evaluation

_ROWS = {
    "recall": "recall at the model's threshold",
    "false_alarm_rate": "false-alarm rate at it",
    "recall_with_review": "recall, review counted as found",
    "review_rate": "good parts sent to review",
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "best_f1": "best F1",
    "recall_at_fpr_01": "recall at 1 % false alarms",
    "recall_at_fpr_05": "recall at 5 % false alarms",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "aupro": "AUPRO (rate up to 0.3)",
}


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made.")],
    prepared: Annotated[Path, typer.Argument(help="A folder that `prepare` made.")],
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    report: Annotated[
        Path | None,
        typer.Option(help="Write an HTML report and all figures as JSON into this folder."),
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Write a CSV file with each image's score.")
    ] = None,
    maps: Annotated[
        Path | None, typer.Option(help="Write each anomaly map here, float32 .npy.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Take the backbone's weights from here.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a model on images with known labels: figures, curves, worst cases first (5.1.2)."""
    import numpy as np

    from patchcore_dual.cli.console import print_json, progress_bar
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.evaluation.evaluation import ImageResult, write_scores
    from patchcore_dual.evaluation.evaluation import evaluate as run
    from patchcore_dual.evaluation.report import report_on
    from patchcore_dual.scoring import Inspection
    from patchcore_dual.utils.files import write_atomically

    if split not in ("train", "test"):
        raise SettingsError(f"--split is {split!r}; use test or train.")
    manifest = Manifest.load(prepared)
    detector = PatchCoreDual.load(model, weights, device)

    def write_map(result: ImageResult, inspection: Inspection) -> None:
        if maps is not None:
            path = maps / Path(result.path).with_suffix(".npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, inspection.anomaly_map)

    with progress_bar() as progress:
        evaluation = run(detector, manifest, split, write_map, progress)  # type: ignore[arg-type]
        page = report_on(evaluation, detector, manifest, report, progress) if report else None
    if report is not None:
        text = json.dumps(evaluation.to_json(), indent=1, ensure_ascii=False) + "\n"
        write_atomically(report / "evaluation.json", text.encode())
    if scores is not None:
        write_scores(evaluation, scores)
    if as_json:
        print_json(evaluation.to_json())
    else:
        print_table({model.name: evaluation})
        if page is not None:
            print(f"Report: {page}")


def print_table(evaluations: dict[str, "Evaluation"]) -> None:
    """A row a figure, a column an evaluation."""
    from rich.console import Console
    from rich.table import Table

    from patchcore_dual.evaluation.report import headline

    table = Table("")
    for name in evaluations:
        table.add_column(name, justify="right")
    for key, label in _ROWS.items():
        table.add_row(label, *(f"{getattr(e, key):.4f}" for e in evaluations.values()))
    console = Console(highlight=False)
    console.print(table)
    for name, evaluation in evaluations.items():
        console.print(f"{name}: {headline(evaluation)}", markup=False, soft_wrap=True)
