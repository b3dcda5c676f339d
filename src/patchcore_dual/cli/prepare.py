"""`patchcore-dual prepare`: make a published data set into a folder that `fit` reads."""

import re
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from patchcore_dual.cli.choices import AsJson, Ignore, Roi, parse_size
from patchcore_dual.data.layouts import LAYOUTS

if TYPE_CHECKING:
    from patchcore_dual.data.prepare.summary import PreparationSummary, Range

LayoutName = StrEnum("LayoutName", {name: name for name in LAYOUTS})  # type: ignore[misc]
AlignMode = StrEnum("AlignMode", ("none", "translation", "rigid", "auto"))

DEFAULT_SIZES = {"ksdd2": "224x632"}  # the thesis's own; `auto` for all others


def prepare(
    layout: Annotated[
        LayoutName,
        typer.Argument(help=f"Layout of the data set: {', '.join(LAYOUTS)}."),
    ],
    source: Annotated[Path, typer.Argument(help="Folder of the data set as published.")],
    prepared: Annotated[Path, typer.Argument(help="Folder to make.")],
    size: Annotated[
        str,
        typer.Option(
            metavar="WxH|auto|native",
            help="Size of every image in pixels. auto keeps that of the photographs, up to 2 "
            "megapixels, and lets `fit` choose; it is the default but for ksdd2 (224x632). native "
            "keeps images of many sizes as they are.",
            show_default=False,
        ),
    ] = "",
    train_fraction: Annotated[
        float | None,
        typer.Option(
            help="Fraction of the groups to train on, for data sets without a split of their own. "
            "1 leaves nothing to test on.",
            show_default="0.5",
        ),
    ] = None,
    split_seed: Annotated[
        int | None, typer.Option(help="Seed of a random split.", show_default="0")
    ] = None,
    split_file: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns group,split: take this split instead. With a column "
            "image too, it gives the groups as well."
        ),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns image,group: which images belong together (one part, "
            "one lot). Groups are never divided between train and test, or between folds.",
        ),
    ] = None,
    group_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Take the group from the name of each file: what the capture group matches, or "
            "the whole expression without one, as 'part[0-9]+'.",
        ),
    ] = None,
    group_by_folder: Annotated[
        bool,
        typer.Option(
            "--group-by-folder",
            help="Every folder below good/ and the kinds of defect is a group; folders of the same "
            "name are the same group.",
        ),
    ] = False,
    train_defects: Annotated[
        int | None,
        typer.Option(
            help="Move this many defective images from test to train, for data sets whose "
            "training images are all normal (mvtec).",
            show_default="0",
        ),
    ] = None,
    bit_depth: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="How many bits of 16-bit files the camera uses: 10, 12, 14 …; auto finds it "
            "from the largest value of all images.",
        ),
    ] = "auto",
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave damaged files out and list them.")
    ] = False,
    ignore_label: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="A label in masks that marks no defect, as 255 in VOC; none counts every label.",
        ),
    ] = "ask",
    large_masks: Annotated[
        bool,
        typer.Option("--large-masks", help="Accept masks that mark more than half of an image."),
    ] = False,
    align: Annotated[
        AlignMode,
        typer.Option(
            help="Bring every part to where it lies in a reference image: shifted, or shifted and "
            "turned (rigid); auto does so where held-out training images show that it pays, by two "
            "fits, which need PyTorch. Images that cannot be aligned are left out and listed; "
            "`inspect` then calls such images not inspected.",
        ),
    ] = AlignMode.none,
    align_to: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE",
            help="The reference, an image of a good part.",
            show_default="the good training image that is most like the others",
        ),
    ] = None,
    max_shift: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="The largest shift that is undone, as a share of the shorter side.",
            show_default="0.3",
        ),
    ] = None,
    max_turn: Annotated[
        float | None,
        typer.Option(metavar="DEGREES", help="The largest turn that is undone.", show_default="10"),
    ] = None,
    roi: Roi = None,
    ignore: Ignore = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Add new images to a prepared data set, whose size, splits, groups and synthetic "
            "sets stay.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a prepared data set.")
    ] = False,
    delete_additions: Annotated[
        bool,
        typer.Option(
            "--delete-additions",
            help="With --overwrite: also delete synthetic sets, reviews and files that were added.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a data set ready for training: images of one size, masks, crops, a split, a manifest.

    Exact copies are dropped, and near duplicates and groups are kept on one side of the split.

    \b
    Examples:
      patchcore-dual prepare ksdd2 KolektorSDD2 prepared
      patchcore-dual prepare folder photos prepared
      patchcore-dual prepare folder photos prepared --group-pattern 'part[0-9]+'
      patchcore-dual prepare folder photos prepared --align rigid
      patchcore-dual prepare folder photos prepared --update
    """
    from patchcore_dual.cli.console import print_json, progress_bar
    from patchcore_dual.data.mask_rule import MaskRule
    from patchcore_dual.data.prepare.additions import AdditionsError
    from patchcore_dual.data.prepare.aligning import AlignmentRule
    from patchcore_dual.data.prepare.groups import GroupRule
    from patchcore_dual.data.prepare.placement import SplitSettings
    from patchcore_dual.data.prepare.preparation import prepare as prepare_data
    from patchcore_dual.data.prepare.update import update as update_data
    from patchcore_dual.data.roi import read_roi
    from patchcore_dual.errors import SettingsError

    if update and overwrite:
        raise SettingsError("--update keeps the folder and --overwrite replaces it. Say one.")
    if update and (roi or ignore):
        raise SettingsError(
            "--update keeps the region of interest of the folder. To change it, give --roi or "
            "--ignore to fit, or prepare again with --overwrite."
        )
    if delete_additions and not overwrite:
        raise SettingsError("--delete-additions is for --overwrite. Add that, or leave it out.")
    asked = {
        "train_fraction": train_fraction,
        "seed": split_seed,
        "file": split_file,
        "train_defects": train_defects,
    }
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    limits = {"max_shift": max_shift, "max_turn": max_turn}
    is_open = align.value == "auto"
    if is_open and update:
        raise SettingsError("--update aligns new images as the others were. Leave --align out.")
    align_rule = AlignmentRule(
        "rigid" if is_open else align.value,  # type: ignore[arg-type]
        align_to,
        **{name: value for name, value in limits.items() if value is not None},
    )
    size = size or ("" if update else DEFAULT_SIZES.get(layout.value, "auto"))
    asked_pixels = None if size in ("", "auto") else parse_size(size, "auto or native")
    width, height = asked_pixels or (None, None)
    options: dict[str, Any] = {
        "split": SplitSettings(**given) if given else None,
        "groups": GroupRule(groups, group_pattern, group_by_folder),
        "bit_depth": parse_bit_depth(bit_depth),
        "skip_unreadable": skip_unreadable,
        "masks": MaskRule(parse_label(ignore_label), large_masks),
        "align": align_rule,
    }

    anew: dict[str, Any] = {"width": width, "height": height, "choose_size": size == "auto"}
    choice = None
    if is_open:
        from patchcore_dual.cli.alignment_trial import try_alignment

        trial = {**anew, **options}
        choice = try_alignment(layout.value, source, prepared, overwrite, trial)
        options["align"] = align_rule if choice.mode == "rigid" else AlignmentRule()

    def prepare_anew(delete_additions: bool) -> "PreparationSummary":
        with progress_bar() as progress:
            return prepare_data(
                layout.value,
                source,
                prepared,
                overwrite=overwrite,
                delete_additions=delete_additions,
                roi=region,
                progress=progress,
                **anew,
                **options,
            )

    region = read_roi(roi, ignore)
    if update:
        with progress_bar() as progress:
            summary = update_data(
                layout.value, source, prepared, size=size, progress=progress, **options
            )
    else:
        try:
            summary = prepare_anew(delete_additions)
        except AdditionsError as error:
            if not sys.stdin.isatty():
                raise
            typer.echo(str(error), err=True)
            typer.confirm("Delete it now?", abort=True, err=True)
            summary = prepare_anew(delete_additions=True)
    if as_json:
        chosen = {"alignment_choice": asdict(choice)} if choice else {}
        print_json({"prepared": str(prepared), **summary.to_json(), **chosen})
    else:
        _print(summary, prepared, choice.reason if choice else "")


def parse_bit_depth(bit_depth: str) -> int | None:
    """`12` as 12, `auto` as None; SettingsError for anything else."""
    from patchcore_dual.errors import SettingsError

    if bit_depth == "auto":
        return None
    if not re.fullmatch("[0-9]{1,2}", bit_depth):
        raise SettingsError(f"--bit-depth is {bit_depth!r}; use auto, or 8 to 16.")
    return int(bit_depth)


def parse_label(label: str) -> int | Literal["ask", "count"]:
    """`--ignore-label` as `MaskRule.ignore`: ask, none (count every label) or a number."""
    from patchcore_dual.errors import SettingsError

    if label in ("ask", "none"):
        return "ask" if label == "ask" else "count"
    if not label.isdecimal():
        raise SettingsError(f"--ignore-label is {label!r}; use a number, as 255, or none.")
    return int(label)


_CLASSES = {"negative": "normal", "positive": "defective"}  # as the user guide calls them


def _print(summary: "PreparationSummary", prepared: Path, alignment: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("split", "class", "kind", title=f"{summary.n_images} images, {summary.size}")
    table.add_column("images", justify="right")
    for row in summary.counts:
        table.add_row(row.split, _CLASSES[row.label], escape(row.kind), str(row.images))
    console.print(table)
    facts = [
        f"{summary.n_unknown_masks} defective images without a mask; {summary.n_crops} close-ups "
        f"of defects; {summary.n_groups} groups, each on one side of the split",
        f"original width {_range(summary.original_width)}, height "
        f"{_range(summary.original_height)} pixels (smallest / median / largest)",
        f"defect area {_range(summary.defect_area)} pixels, "
        f"{_range(summary.defect_share, 100)} % of the image (smallest / median / largest)",
        *(line for line in (summary.motion_line, alignment) if line),
        *(["Outside the region of interest nothing is inspected."] if summary.roi else []),
        *summary.notes,
        *(
            f"left out: {why if name in why else f'{name}: {why}'}"
            for name, why in summary.skipped.items()
        ),
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
