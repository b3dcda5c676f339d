"""`patchcore-dual fit`: build both memory banks and calibrate the thresholds."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from patchcore_dual.cli.choices import (
    AsJson,
    BackboneName,
    DefectShare,
    Device,
    FalseAlarmCost,
    Ignore,
    MissCost,
    Ray,
    Roi,
    RuleName,
    parse_costs,
    parse_numbers,
    parse_size,
    parse_tile,
)
from patchcore_dual.cli.fit_pictures import write_pictures
from patchcore_dual.cli.fit_summary import describe, summary, worker_lines
from patchcore_dual.errors import SettingsError

if TYPE_CHECKING:
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.training import Fit

TUNING, RESEARCH = "Tuning", "Research"


def fit(
    prepared: Annotated[Path, typer.Argument(help="A folder that `prepare` made.")],
    model: Annotated[Path, typer.Option(help="The model folder to write.")],
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the model that the folder holds. The former one stays as a version, to "
            "which `undo` returns.",
        ),
    ] = False,
    false_alarm_rate: Annotated[
        float | None,
        typer.Option(help="Share of normal parts that may be rejected.", show_default="0.01"),
    ] = None,
    review_rate: Annotated[
        float | None,
        typer.Option(
            help="Share of normal parts that may be rejected or sent to review.",
            show_default="five times --false-alarm-rate",
        ),
    ] = None,
    synthetic: Annotated[
        str,
        typer.Option(
            help="Synthetic images that `augment` made: all, none, a number, or best: as many as "
            "help to find held-out defects."
        ),
    ] = "all",
    exclude: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Training images to leave out: one name a line, or a CSV file with a column "
            "image; names as in manifest.csv, image or source.",
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="auto|WxH|prepared",
            help="Size that images are resized to. auto tries sizes on held-out training images "
            "where prepare kept that of the photographs, and else takes the prepared one.",
        ),
    ] = "auto",
    smallest_defect: Annotated[
        float | None,
        typer.Option(
            help="Width in pixels of the smallest defect that is to be found. Automatic sizes then "
            "start from it.",
            metavar="PIXELS",
            show_default="by the masks",
        ),
    ] = None,
    tile: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help="Embed large images tile by tile, at the size they were prepared in, with memory "
            "for a row of tiles. 1024x1024 is a good size.",
            show_default="in one pass",
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="How far tiles overlap: as far as the network sees around a place, so that no "
            "seam shows.",
            show_default="320, at most half a tile",
        ),
    ] = None,
    roi: Roi = None,
    ignore: Ignore = None,
    robust: Annotated[
        Literal["none", "light"] | None,
        typer.Option(
            help="light: also fit on good images in changed light (gain, offset, gamma, colours, "
            "blur, shading), as many as lower false alarms of held-out ones without missing "
            "defects. Fitting takes several times as long.",
            show_default="none",
        ),
    ] = None,
    memory: Annotated[
        str, typer.Option(help="The most memory that fitting may use, as 800MiB.")
    ] = "4GiB",
    miss_cost: MissCost = None,
    false_alarm_cost: FalseAlarmCost = None,
    defect_share: DefectShare = None,
    device: Device = "auto",
    as_json: AsJson = False,
    ray: Ray = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Embed images, and choose from parts of very many, in so many processes. The "
            "model is the same.",
            rich_help_panel="Many images",
            show_default="this process; with --ray one for each core of the cluster",
        ),
    ] = None,
    backbone: Annotated[
        BackboneName | None,
        typer.Option(
            metavar="NAME",
            help="The network: efficientnet_lite0, efficientnet_lite1 or efficientnet_lite2; or, "
            "with --weights, resnet18, resnet34, resnet50, wide_resnet50_2, dinov2_small, "
            "dinov2_base, dinov2_small_reg, dinov2_base_reg, dinov3_small or dinov3_base.",
            rich_help_panel=TUNING,
            show_default="efficientnet_lite0",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights of the network: a file .safetensors or .pth; of DINO networks also a "
            "folder with config.json and model.safetensors.",
            rich_help_panel=TUNING,
        ),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(
            help="Network levels that features come from, 1 (shallow) to 4 (deep).",
            rich_help_panel=TUNING,
            show_default="2,3",
        ),
    ] = None,
    resolutions: Annotated[
        str | None,
        typer.Option(
            help="What an image's size is divided by, each time that it is embedded; the features "
            "of all times are used together.",
            rich_help_panel=TUNING,
            show_default="1,2,4; 1 for published rules",
        ),
    ] = None,
    precision: Annotated[
        Literal["float32", "int8"] | None,
        typer.Option(
            help="Of the network's arithmetic: int8 is faster on a CPU, of a ResNet about twice.",
            rich_help_panel=TUNING,
            show_default="float32",
        ),
    ] = None,
    compare_precision: Annotated[
        bool,
        typer.Option(
            "--compare-precision",
            help="With --precision int8: fit in float32 too, and say what int8 costs on held-out "
            "training images.",
            rich_help_panel=TUNING,
        ),
    ] = False,
    search: Annotated[
        Literal["exact", "approximate"] | None,
        typer.Option(
            help="Approximate search computes exact distances only for the patches that decide the "
            "score. Its error is measured on training images; above 0.1 %, search stays exact.",
            rich_help_panel=TUNING,
            show_default="exact",
        ),
    ] = None,
    normal_rate: Annotated[
        float | None,
        typer.Option(
            help="Share of normal patches that the bank keeps.",
            rich_help_panel=TUNING,
            show_default="0.01",
        ),
    ] = None,
    defect_rate: Annotated[
        float | None,
        typer.Option(
            help="Share of defect patches that the bank keeps.",
            rich_help_panel=TUNING,
            show_default="0.1",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of all randomness.", rich_help_panel=TUNING, show_default="0"),
    ] = None,
    scoring: Annotated[
        RuleName | None,
        typer.Option(
            metavar="NAME",
            help="Fusion rule: calibrated, ratio, contrast, thesis, patchcore or "
            "patchcore-weighted.",
            rich_help_panel=RESEARCH,
            show_default="calibrated",
        ),
    ] = None,
    preset: Annotated[
        Literal["thesis"] | None,
        typer.Option(
            help="The thesis read literally: ResNet-50, defect crops, its score.",
            rich_help_panel=RESEARCH,
        ),
    ] = None,
    patches: Annotated[
        Literal["mask", "box", "crop"] | None,
        typer.Option(
            help="Which patches of a defective image enter the defect bank: those on its mask, in "
            "a box around the defect, or of an enlarged crop.",
            rich_help_panel=RESEARCH,
            show_default="mask",
        ),
    ] = None,
    bank_vectors: Annotated[
        Literal["full", "projected"] | None,
        typer.Option(
            help="Keep whole features, or random projections of them.",
            rich_help_panel=RESEARCH,
            show_default="full",
        ),
    ] = None,
    defect_levels: Annotated[
        str | None,
        typer.Option(help="Other levels for the defect bank, as 1,2.", rich_help_panel=RESEARCH),
    ] = None,
    count_padding: Annotated[
        bool | None,
        typer.Option(
            help="Count the zeros around a feature map in the mean at its border.",
            rich_help_panel=RESEARCH,
            show_default="as published; not for calibrated",
        ),
    ] = None,
    defects: Annotated[
        int | None,
        typer.Option(
            help="Use only N defective training images, drawn by --seed.",
            metavar="N",
            min=0,
            rich_help_panel=RESEARCH,
        ),
    ] = None,
    keep_all: Annotated[
        bool,
        typer.Option(
            "--keep-all",
            help="Also fit on good images that are probably mislabelled, which are set aside "
            "otherwise.",
            rich_help_panel=TUNING,
        ),
    ] = False,
    exclude_kind: Annotated[
        list[str] | None,
        typer.Option(help="Leave a kind of defect out. Can be repeated.", rich_help_panel=RESEARCH),
    ] = None,
) -> None:
    """Fit a model on the training images of a prepared data set.

    Prints beforehand about how long it takes. If interrupted, run the same command again to
    resume.

    Example: patchcore-dual fit prepared --model model --false-alarm-rate 0.02
    """
    from patchcore_dual.cli.console import console, print_json, progress_bar
    from patchcore_dual.cluster.connection import open_executor
    from patchcore_dual.data.csv_files import read_names
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.data.roi import read_roi
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.settings import PRESETS
    from patchcore_dual.training.deciding_images import deciding_images_of, sentences
    from patchcore_dual.utils.memory import parse_memory
    from patchcore_dual.utils.spread import Spread

    given: dict[str, Any] = {
        "backbone": backbone,
        "levels": parse_numbers("levels", levels),
        "defect_levels": parse_numbers("defect_levels", defect_levels),
        "resolutions": parse_numbers("resolutions", resolutions),
        "count_padding": count_padding,
        "scoring": scoring,
        "patches": patches,
        "bank_vectors": bank_vectors,
        "normal_rate": normal_rate,
        "defect_rate": defect_rate,
        "false_alarm_rate": false_alarm_rate,
        "review_rate": review_rate,
        "robust": robust,
        "precision": precision,
        "search": search,
        "tile": parse_tile(tile),
        "overlap": overlap,
        "seed": seed,
    }
    given = {name: value for name, value in given.items() if value is not None}
    manifest = Manifest.load(prepared)
    limit, which = parse_memory(memory), parse_synthetic(synthetic)
    costs = parse_costs(miss_cost, false_alarm_cost, defect_share)
    detector = PatchCoreDual(
        weights=weights, device=device, **{**(PRESETS[preset] if preset else {}), **given}
    )
    spread = None
    try:
        with progress_bar() as progress, ExitStack() as stack:
            if ray is not None or workers is not None:
                spread = Spread(stack.enter_context(open_executor(ray, workers)))
            detector.fit(
                manifest,
                defects=defects,
                exclude_kinds=exclude_kind or (),
                exclude=read_names(exclude) if exclude else (),
                keep_all=keep_all,
                synthetic=which,
                size=parse_fit_size(size),
                smallest_defect=smallest_defect,
                roi=read_roi(roi, ignore),
                compare_precision=compare_precision,
                model_folder=model,
                overwrite=overwrite,
                memory=limit,
                progress=progress,
                spread=spread,
            )
    except KeyboardInterrupt:
        console.print(
            "Interrupted. What is finished is kept: the same command continues from there.",
            markup=False,
            soft_wrap=True,
        )
        raise
    fitted = detector.fitted
    assert fitted is not None
    decide = deciding_images_of(fitted.model)
    guessed, deciding = write_pictures(fitted, decide, manifest, model)
    if as_json:
        described = describe(fitted, model, manifest, decide, costs)
        described["workers"] = [asdict(share) for share in spread.shares] if spread else []
        print_json({**described, "pseudo_masks": str(guessed) if guessed else None})
    else:
        sources = {s.image: s.source for s in manifest}
        lines = summary(fitted.model, model, guessed, costs)
        lines += sentences(decide, sources, str(deciding or ""))
        lines += worker_lines(spread) if spread else []
        _print(fitted, model, manifest, lines)


def check_texts(values: dict[str, Any]) -> None:
    """Raise SettingsError for an option whose text cannot be read, by the options' names."""
    from patchcore_dual.utils.memory import parse_memory

    parse_fit_size(values["size"])
    parse_synthetic(values["synthetic"])
    parse_memory(values["memory"])
    parse_tile(values["tile"])
    for name in ("levels", "defect_levels", "resolutions"):
        parse_numbers(name, values[name])


def parse_fit_size(text: str) -> tuple[int, int] | Literal["auto"] | None:
    """`--size` as `training.fit` takes it; SettingsError for any other text."""
    if text in ("auto", "prepared"):
        return "auto" if text == "auto" else None
    size = parse_size(text, "auto or prepared")
    if size is None:
        raise SettingsError("--size native is for prepare; fit takes auto, prepared or WxH.")
    return size


def parse_synthetic(text: str) -> Literal["all", "none", "best"] | int:
    """`--synthetic` as `training.fit` takes it; SettingsError for any other text."""
    if text in ("all", "none", "best"):
        return text  # type: ignore[return-value]
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"--synthetic is {text!r}; use all, none, best or a number.") from None


def _print(fitted: "Fit", folder: Path, manifest: "Manifest", lines: list[str]) -> None:
    """What was chosen, the lines of the summary, and what to do next."""
    if fitted.size:
        print(fitted.size)
    if fitted.synthetic:
        print(fitted.synthetic)
    if fitted.light:
        print(fitted.light)
    if fitted.precision:
        print(fitted.precision)
    elif fitted.model.spec.precision == "int8":
        print(
            "8-bit integers can cost accuracy, most where defects look much like good parts: "
            "--compare-precision measures it on these images."
        )
    for line in lines:
        print(line)
    if fitted.former:
        print(f"The former model stays as version {fitted.former.number}: see history {folder}.")
    print(f"Next: patchcore-dual evaluate {folder} {manifest.folder} --report REPORT")
