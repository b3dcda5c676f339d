"""`patchcore-dual reproduce`: the thesis's tables and figures, and protocols beyond them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from patchcore_dual.evaluation.tables import Table


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
    from patchcore_dual.evaluation.figures import figure5
    from patchcore_dual.evaluation.findings import PUBLISHED, rows_of
    from patchcore_dual.evaluation.protocol_report import facts_of, write_figure, write_protocol
    from patchcore_dual.evaluation.protocols import PROTOCOLS, groups_of
    from patchcore_dual.evaluation.reproduce import Plan, run
    from patchcore_dual.evaluation.tables import tables_of
    from patchcore_dual.images.manifest import Manifest

    if target not in (*PROTOCOLS, "figure5"):
        raise SettingsError(
            f"nothing to reproduce is called {target!r}; there are: "
            f"{', '.join((*PROTOCOLS, 'figure5'))}."
        )
    if target == "figure5" and report is None:
        raise SettingsError("figure5 is a picture: say where it is to go with --report DIR.")
    if images and target != "figure5":
        raise SettingsError("--images is for figure5.")
    plan = Plan(target, splits, seeds, draws)  # type: ignore[arg-type]
    manifest = Manifest.load(prepared)
    plan.check(manifest)
    detector = PatchCoreDual(backbone=backbone, weights=weights, device=device)
    facts = facts_of(plan, manifest, detector)

    if target == "figure5":
        assert report is not None
        with progress_bar() as progress:
            split = plan.split(manifest, 0)
            picture, names = figure5(split, detector, images or (), progress)
        page = write_figure(picture, names, facts, report)
        if as_json:
            print_json({"target": target, "images": names, "picture": str(report / "figure5.png")})
        else:
            print(f"Figure: {report / 'figure5.png'}\nPage: {page}")
        return

    def tell(seed: int, found: bool) -> None:
        console.print(f"seed {seed}: {'found finished' if found else 'done'}")

    with progress_bar() as progress:
        results = run(plan, manifest, detector, report, progress, tell)
    rows = rows_of(target, results, groups_of(manifest))
    is_ksdd2 = manifest.preparation().get("layout") == "ksdd2"
    if report is not None:
        console.print(f"Page: {write_protocol(plan, rows, facts, is_ksdd2, report)}")
    if as_json:
        answer = {"target": target, "splits": splits, "facts": facts}
        published = {"published": PUBLISHED} if is_ksdd2 and target == "table1" else {}
        print_json({**answer, **published, "rows": [row.to_json() for row in rows]})
    else:
        _print(tables_of(target, rows, is_ksdd2))


def _print(tables: "list[Table]") -> None:
    from rich.console import Console
    from rich.table import Table as Printed

    for table in tables:
        printed = Printed("", title=table.title, show_lines=True)
        for name in table.columns:
            printed.add_column(name, justify="right")
        for name, _, cells in table.rows:
            printed.add_row(name, *("\n".join(cell.lines) for cell in cells))
        Console(highlight=False).print(printed)
    print("In brackets: 95 % intervals, by group. Signed: paired differences to PatchCore.")
