"""`patchcore-dual reproduce`: the thesis's tables and figures, and protocols beyond them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from patchcore_dual.cli.choices import AsJson, Device, Ray

if TYPE_CHECKING:
    from rich.table import Table as Printed

    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.experiments.reproduce import Plan
    from patchcore_dual.experiments.tables import Table
    from patchcore_dual.utils.executor import Executor

Target = Literal["table1", "table2", "figure1", "figure5", "generators", "few-shot", "unseen-kinds"]


def reproduce(
    target: Annotated[Target, typer.Argument(help="One of the names above.")],
    prepared: Annotated[Path, typer.Argument(help="A folder that `prepare` wrote.")],
    splits: Annotated[
        Literal["official", "group"],
        typer.Option(
            help="official: the prepared split, and only the seed of fitting varies; group: "
            "another split by group for each seed."
        ),
    ] = "official",
    seeds: Annotated[int, typer.Option(help="Number of seeds, from 0.")] = 5,
    backbone: Annotated[
        str, typer.Option(help="Name of the network; the thesis used resnet50.")
    ] = "efficientnet_lite0",
    weights: Annotated[
        Path | None, typer.Option(help="The backbone's weights.", metavar="FILE")
    ] = None,
    device: Device = "auto",
    draws: Annotated[
        int, typer.Option(help="few-shot: how often each number of defects is drawn.")
    ] = 5,
    generator: Annotated[
        str | None,
        typer.Option(
            help="table1, table2, figure5: the generator of the synthetic defects. By default diag "
            "where the prepared set has images of it, else poisson.",
            metavar="NAME",
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            help="figure5: a test image to show, as named in manifest.csv. Repeatable.",
            metavar="NAME",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the HTML page. Finished trials are kept there and reused when the "
            "command is repeated.",
            metavar="FOLDER",
        ),
    ] = None,
    as_json: AsJson = False,
    ray: Ray = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Run trials in so many processes. The tables are the same.",
            rich_help_panel="Many images",
            show_default="1; with --ray one for each core of the cluster",
        ),
    ] = None,
) -> None:
    """Run the thesis's experiments, and more, on any prepared data set.

    table1        PatchCore, and PatchCoreDual without and with synthetic defects
    table2        more and more synthetic defects
    figure1       pictures of each generator's synthetic defects
    figure5       heat maps of the methods of table1
    generators    every generator, at several numbers of real defects
    few-shot      more and more real defects
    unseen-kinds  each kind of defect in turn left out of training

    Tables give mean and standard deviation over seeds, 95 % bootstrap
    intervals, and paired differences to a baseline.

    Example:
    patchcore-dual reproduce table1 prepared --splits group --report report
    """
    from patchcore_dual.cluster.connection import open_executor
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.data.prepare.sizes import CELL
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.experiments.reproduce import FIGURES, Plan
    from patchcore_dual.experiments.synthetic_source import default_generator
    from patchcore_dual.training.size_choice import proposed_size
    from patchcore_dual.utils.dependencies import require

    require("reproduce", "torch", "jinja2", "matplotlib")
    if target in FIGURES and report is None:
        raise SettingsError(f"{target} is a picture: give the folder for it with --report FOLDER.")
    if target in FIGURES and (ray is not None or workers is not None):
        raise SettingsError(f"{target} is made in one go: --ray and --workers are for the tables.")
    if images and target != "figure5":
        raise SettingsError("--images is for figure5.")
    if generator and target not in ("table1", "table2", "figure5"):
        raise SettingsError("--generator is for table1, table2 and figure5.")
    manifest = Manifest.load(prepared)
    detector = None  # figure1 shows images only
    if target != "figure1":
        detector = PatchCoreDual(backbone=backbone, weights=weights, device=device)
    if manifest.keeps_photographs:  # one size for all splits, by the proportions and the defects
        cell = detector.embedder.spec.stride if detector else CELL
        size, reason = proposed_size(manifest.part("train"), cell)
        manifest = manifest.at_size(*size)
        typer.echo(reason, err=True)
    plan = Plan(target, splits, seeds, draws, generator or default_generator(manifest))
    plan.check(manifest)
    if report is not None and (detector is None or target in FIGURES):
        _figure(plan, manifest, detector, images or (), report, as_json)
    elif detector is not None:
        at_once = 1 if ray is None and workers is None else workers
        with open_executor(ray, at_once) as executor:
            _protocol(plan, manifest, detector, executor, report, as_json)


def _figure(
    plan: "Plan",
    manifest: "Manifest",
    detector: "PatchCoreDual | None",
    images: Sequence[str],
    report: Path,
    as_json: bool,
) -> None:
    from patchcore_dual.cli.console import print_json, progress_bar
    from patchcore_dual.experiments.facts import facts_of
    from patchcore_dual.experiments.figure1 import figure1
    from patchcore_dual.experiments.figure5 import figure5
    from patchcore_dual.experiments.protocol_report import write_figure

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
    executor: "Executor",
    report: Path | None,
    as_json: bool,
) -> None:
    from patchcore_dual.cli.console import console, print_json, progress_bar
    from patchcore_dual.experiments.facts import facts_of
    from patchcore_dual.experiments.protocols import groups_of
    from patchcore_dual.experiments.published import PUBLISHED
    from patchcore_dual.experiments.reproduce import run
    from patchcore_dual.experiments.result_rows import BASELINES, rows_of
    from patchcore_dual.experiments.tables import tables_of

    if report is not None:  # a missing package is reported before the work
        from patchcore_dual.experiments.protocol_report import write_protocol

    def print_seed(seed: int, was_finished: bool) -> None:
        console.print(f"seed {seed}: {'finished before' if was_finished else 'done'}")

    target, facts = plan.target, facts_of(plan, manifest, detector)
    with progress_bar() as progress:
        results = run(
            plan,
            manifest,
            detector,
            report=report,
            progress=progress,
            on_seed=print_seed,
            executor=executor,
        )
    rows = rows_of(target, results, groups_of(manifest))
    is_ksdd2 = manifest.preparation().get("layout") == "ksdd2"
    if as_json:
        result = {"target": target, "splits": plan.splits, "facts": facts}
        published = {"published": PUBLISHED[target]} if is_ksdd2 and target in PUBLISHED else {}
        print_json({**result, **published, "rows": [row.to_json() for row in rows]})
    else:
        _print(tables_of(target, rows, is_ksdd2), BASELINES[target])
    if report is not None:  # last, so that a full disk leaves the figures
        console.print(f"Page: {write_protocol(plan, rows, facts, is_ksdd2, report)}")


def _print(tables: "list[Table]", baseline: str) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for table in tables:
        printed = _as_wide(table)
        unlimited = console.options.update(max_width=1000)
        if console.measure(printed, options=unlimited).maximum > console.width:
            printed = _as_long(table)
        console.print(printed)
    console.print(
        "In brackets: 95 % bootstrap intervals, by group. Signed: paired differences to "
        f"{baseline}.",
        markup=False,
    )


def _as_wide(table: "Table") -> "Printed":
    """The table as it is, with a column for each method."""
    from rich.markup import escape
    from rich.table import Table as Printed

    printed = Printed("", title=table.title, show_lines=True)
    for name in table.columns:
        printed.add_column(name, justify="right")
    for name, _, cells in table.rows:
        printed.add_row(escape(name), *("\n".join(map(escape, cell.lines)) for cell in cells))
    return printed


def _as_long(table: "Table") -> "Printed":
    """The table with a row for each method, for a terminal that is too narrow for columns."""
    from rich.markup import escape
    from rich.table import Table as Printed

    printed = Printed("", title=table.title, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("mean", "95 % interval", "difference"):
        printed.add_column(heading, justify="right", no_wrap=True)
    for name, _, cells in table.rows:
        printed.add_row(f"[bold]{escape(name)}[/bold]")
        for column, cell in zip(table.columns, cells, strict=True):
            mean = f"{cell.mean}\n{cell.printed}".rstrip()
            printed.add_row(escape(column), *map(escape, (mean, cell.interval, cell.difference)))
    return printed
