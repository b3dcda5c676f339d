"""`patchcore-dual reproduce`: the thesis's tables and figures, and protocols beyond them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.experiments.reproduce import Plan
    from patchcore_dual.experiments.tables import Table


def reproduce(
    target: Annotated[
        str,
        typer.Argument(
            help="table1, table2, figure1, figure5, generators, few-shot or unseen-kinds."
        ),
    ],
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
    generator: Annotated[
        str | None,
        typer.Option(
            help="table1, table2, figure5: whose synthetic defects are taught; diag where the "
            "prepared set has images of it, else poisson."
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(help="figure5: a test image to show, as the manifest names it. Repeatable."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write a page here; what is finished is kept and found again."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run the thesis's experiments on any prepared data set (5.2): tables with intervals."""
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.experiments.protocols import PROTOCOLS
    from patchcore_dual.experiments.reproduce import FIGURES, Plan
    from patchcore_dual.experiments.synthetic_source import default_generator

    targets = (*PROTOCOLS, *FIGURES)
    if target not in targets:
        raise SettingsError(
            f"nothing to reproduce is called {target!r}; there are: {', '.join(targets)}."
        )
    if target in FIGURES and report is None:
        raise SettingsError(f"{target} is a picture: say where it is to go with --report DIR.")
    if images and target != "figure5":
        raise SettingsError("--images is for figure5.")
    if generator and target not in ("table1", "table2", "figure5"):
        raise SettingsError("--generator is for table1, table2 and figure5.")
    manifest = Manifest.load(prepared)
    generator = generator or default_generator(manifest)
    plan = Plan(target, splits, seeds, draws, generator)  # type: ignore[arg-type]
    plan.check(manifest)
    detector = None  # figure1 shows images alone
    if target != "figure1":
        detector = PatchCoreDual(backbone=backbone, weights=weights, device=device)
    if detector is None or target in FIGURES:
        assert report is not None
        _figure(plan, manifest, detector, images or (), report, as_json)
    else:
        _protocol(plan, manifest, detector, report, as_json)


def _figure(
    plan: "Plan",
    manifest: "Manifest",
    detector: "PatchCoreDual | None",
    images: Sequence[str],
    report: Path,
    as_json: bool,
) -> None:
    from patchcore_dual.cli.console import print_json, progress_bar
    from patchcore_dual.experiments.figure1 import figure1
    from patchcore_dual.experiments.figure5 import figure5
    from patchcore_dual.experiments.protocol_report import facts_of, write_figure

    facts, split = facts_of(plan, manifest, detector), plan.split(manifest, 0)
    with progress_bar() as progress:
        if detector is None:
            picture, names = figure1(split, progress=progress)
        else:
            picture, names = figure5(split, detector, plan.generator, images, progress)
    page = write_figure(plan.target, picture, names, facts, report)
    path = report / f"{plan.target}.png"
    if as_json:
        shown = "rows" if detector is None else "images"
        print_json({"target": plan.target, shown: names, "picture": str(path)})
    else:
        print(f"Figure: {path}\nPage: {page}")


def _protocol(
    plan: "Plan",
    manifest: "Manifest",
    detector: "PatchCoreDual",
    report: Path | None,
    as_json: bool,
) -> None:
    from patchcore_dual.cli.console import console, print_json, progress_bar
    from patchcore_dual.experiments.findings import BASELINES, PUBLISHED, rows_of
    from patchcore_dual.experiments.protocol_report import facts_of, write_protocol
    from patchcore_dual.experiments.protocols import groups_of
    from patchcore_dual.experiments.reproduce import run
    from patchcore_dual.experiments.tables import tables_of

    def tell(seed: int, found: bool) -> None:
        console.print(f"seed {seed}: {'found finished' if found else 'done'}")

    target, facts = plan.target, facts_of(plan, manifest, detector)
    with progress_bar() as progress:
        results = run(plan, manifest, detector, report, progress, tell)
    rows = rows_of(target, results, groups_of(manifest))
    is_ksdd2 = manifest.preparation().get("layout") == "ksdd2"
    if report is not None:
        console.print(f"Page: {write_protocol(plan, rows, facts, is_ksdd2, report)}")
    if as_json:
        answer = {"target": target, "splits": plan.splits, "facts": facts}
        published = {"published": PUBLISHED[target]} if is_ksdd2 and target in PUBLISHED else {}
        print_json({**answer, **published, "rows": [row.to_json() for row in rows]})
    else:
        _print(tables_of(target, rows, is_ksdd2), BASELINES[target])


def _print(tables: "list[Table]", baseline: str) -> None:
    from rich.console import Console
    from rich.table import Table as Printed

    for table in tables:
        printed = Printed("", title=table.title, show_lines=True)
        for name in table.columns:
            printed.add_column(name, justify="right")
        for name, _, cells in table.rows:
            printed.add_row(name, *("\n".join(cell.lines) for cell in cells))
        Console(highlight=False).print(printed)
    print(f"In brackets: 95 % intervals, by group. Signed: paired differences to {baseline}.")
