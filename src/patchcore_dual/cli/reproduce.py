"""`patchcore-dual reproduce`: the thesis's tables and figures, and protocols beyond them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from patchcore_dual.evaluation.bootstrap import Figure
    from patchcore_dual.evaluation.tables import Row

_COLUMNS = {
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "image_ap": "image AP",
    "aupro": "AUPRO",
    "recall_at_fpr_01": "recall at 1 % FA",
    "recall": "recall, own threshold",
    "false_alarm_rate": "false alarms, own threshold",
}


def reproduce(
    target: Annotated[str, typer.Argument(help="table1, figure5, few-shot or unseen-kinds.")],
    prepared: Annotated[Path, typer.Argument(help="A folder that `prepare` made.")],
    splits: Annotated[
        str,
        typer.Option(
            help="official: the prepared split, fit seeds vary; group: split again by group."
        ),
    ] = "official",
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0.")] = 5,
    backbone: Annotated[str, typer.Option(help="Name of the network.")] = "resnet50",
    weights: Annotated[Path | None, typer.Option(help="File of its weights.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    draws: Annotated[
        int, typer.Option(help="few-shot: how often each number of defects is drawn.")
    ] = 5,
    images: Annotated[
        list[str] | None,
        typer.Option(help="figure5: a test image to show, as the manifest names it. Repeatable."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write a page here; finished seeds are kept and found again."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run the thesis's experiments on any prepared data set (5.2): tables with intervals."""
    from patchcore_dual.cli.console import console, print_json, progress_bar
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.evaluation.protocols import PROTOCOLS, groups_of
    from patchcore_dual.evaluation.reproduce import Plan, run
    from patchcore_dual.evaluation.tables import rows_of
    from patchcore_dual.images.manifest import Manifest

    if target not in (*PROTOCOLS, "figure5"):
        raise SettingsError(
            f"nothing is called {target!r}; there are: {', '.join((*PROTOCOLS, 'figure5'))}."
        )
    plan = Plan(target, splits, seeds, draws)  # type: ignore[arg-type]
    manifest = Manifest.load(prepared)
    detector = PatchCoreDual(backbone=backbone, weights=weights, device=device)

    def tell(seed: int, found: bool) -> None:
        console.print(f"seed {seed}: {'found finished' if found else 'done'}")

    with progress_bar() as progress:
        results = run(plan, manifest, detector, report, progress, tell)
    rows = rows_of(target, results, groups_of(manifest))
    if as_json:
        print_json({"target": target, "rows": [row.to_json() for row in rows]})
    else:
        _print(rows)


def _print(rows: "list[Row]") -> None:
    from rich.console import Console
    from rich.table import Table

    names = list(rows[0].figures)
    table = Table("")
    for name in names:
        table.add_column(_COLUMNS[name], justify="right")
    for row in rows:
        table.add_row(
            f"{row.condition} {row.method}".strip(), *(_cell(row.figures[n]) for n in names)
        )
        if row.difference:
            table.add_row("  less PatchCore", *(_cell(row.difference[n], sign="+") for n in names))
    Console(highlight=False).print(table)


def _cell(figure: "Figure", sign: str = "") -> str:
    from math import isnan

    if isnan(figure.mean):
        return "–"
    text = f"{figure.mean:{sign}.3f}"
    if not isnan(figure.deviation):
        text += f" ± {figure.deviation:.3f}"
    if not isnan(figure.low):
        text += f"\n[{figure.low:{sign}.3f}, {figure.high:{sign}.3f}]"
    return text
