"""`patchcore-dual prepare`: a data set as published becomes a folder that `fit` reads."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from patchcore_dual.data.prepare.summary import PreparationSummary, Range


def prepare(
    layout: Annotated[
        str, typer.Argument(help="ksdd2, kolektorsdd, mvtec, magnetic-tile or folder.")
    ],
    source: Annotated[Path, typer.Argument(help="The data set as it was published.")],
    prepared: Annotated[Path, typer.Argument(help="The folder to make.")],
    size: Annotated[
        str, typer.Option(help="WxH in pixels, or native to leave sizes alone.")
    ] = "224x632",
    train_fraction: Annotated[
        float,
        typer.Option(
            help="Share of groups to train on, where a set has no split; 1 keeps none for testing."
        ),
    ] = 0.5,
    split_seed: Annotated[int, typer.Option(help="Which groups, where a set has no split.")] = 0,
    split_file: Annotated[
        Path | None, typer.Option(help="A CSV file (columns group,split) that imposes a split.")
    ] = None,
    train_defects: Annotated[
        int, typer.Option(help="Move so many defective images from test to train (mvtec).")
    ] = 0,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave broken files out and list them.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a prepared data set.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Prepare a data set: one size, masks, crops, a train and test tree, a manifest (3.2)."""
    from patchcore_dual.cli.console import print_json, progress_bar
    from patchcore_dual.data.prepare.placement import SplitSettings
    from patchcore_dual.data.prepare.preparation import prepare as prepare_data

    width, height = parse_size(size)
    with progress_bar() as progress:
        summary = prepare_data(
            layout,
            source,
            prepared,
            width=width,
            height=height,
            split=SplitSettings(train_fraction, split_seed, split_file, train_defects),
            skip_unreadable=skip_unreadable,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print_json({"prepared": str(prepared), **summary.to_json()})
    else:
        _print(summary, prepared)


def parse_size(size: str) -> tuple[int, int] | tuple[None, None]:
    """`224x632` as (224, 632), `native` as (None, None)."""
    from patchcore_dual.errors import SettingsError

    if size == "native":
        return None, None
    match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", size)
    if match is None:
        raise SettingsError(
            f"--size is {size!r}; use WIDTHxHEIGHT in pixels, as 224x632, or native."
        )
    return int(match[1]), int(match[2])


def _print(summary: "PreparationSummary", prepared: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("split", "label", "kind", title=f"{summary.n_images} images, {summary.size}")
    table.add_column("images", justify="right")
    for row in summary.counts:
        table.add_row(row.split, row.label, escape(row.kind), str(row.images))
    console.print(table)
    facts = [
        f"{summary.n_groups} groups, {summary.n_crops} defect crops, "
        f"{summary.n_unknown_masks} defective images with an unknown mask",
        f"original width {_range(summary.original_width)}, "
        f"height {_range(summary.original_height)} pixels",
        f"defect area {_range(summary.defect_area)} pixels, "
        f"{_range(summary.defect_share, 100)} % of the image (min / median / max)",
        *summary.notes,
        *(f"skipped, unreadable: {name}" for name in summary.skipped),
        f"Audit of {summary.audit.n_images} images ({len(summary.dropped_copies)} copies dropped):",
        *(f"  {line}" for line in summary.audit.lines()),
        f"Next: patchcore-dual fit {prepared} --model MODEL",
    ]
    for fact in facts:
        console.print(escape(fact), soft_wrap=True)


def _range(values: "Range | None", factor: float = 1) -> str:
    if values is None:
        return "unknown"
    return " / ".join(f"{factor * v:.4g}" for v in (values.min, values.median, values.max))
