"""`patchcore-dual fit`: build both memory banks and the thresholds."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from patchcore_dual.model.model import Model


def fit(
    prepared: Annotated[Path, typer.Argument(help="A folder that `prepare` made.")],
    model: Annotated[Path, typer.Option(help="The model folder to write.")],
    backbone: Annotated[
        str | None,
        typer.Option(
            help="efficientnet_lite0 (default; needs no download), resnet18, resnet34, "
            "resnet50 or wide_resnet50_2."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of the backbone: .safetensors or .pth.")
    ] = None,
    levels: Annotated[
        str | None, typer.Option(help="Backbone levels, default 2,3 (strides 8 and 16).")
    ] = None,
    defect_levels: Annotated[
        str | None, typer.Option(help="Levels for the defect bank alone, as 1,2.")
    ] = None,
    scoring: Annotated[
        str | None,
        typer.Option(
            help="Fusion rule: calibrated (default), ratio, contrast, thesis, patchcore, "
            "patchcore-weighted."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="thesis: its literal reading (ResNet-50, crops, its score).")
    ] = None,
    patches: Annotated[
        str | None,
        typer.Option(help="Patches of defective images: mask (default), box or crop."),
    ] = None,
    bank_vectors: Annotated[
        str | None,
        typer.Option(help="What banks keep: full vectors (default) or projected ones."),
    ] = None,
    normal_rate: Annotated[
        float | None, typer.Option(help="Coreset rate of the normal bank, default 0.01.")
    ] = None,
    defect_rate: Annotated[
        float | None, typer.Option(help="Coreset rate of the defect bank, default 0.1.")
    ] = None,
    defects: Annotated[
        int | None, typer.Option(help="Use only so many defective training images.")
    ] = None,
    synthetic: Annotated[
        str,
        typer.Option(
            help="Synthetic images that `augment` made: all (default), none, how many, or best: "
            "as many as help to find held-out training defects."
        ),
    ] = "all",
    exclude_kind: Annotated[
        list[str] | None, typer.Option(help="Leave a kind of defect out; may be repeated.")
    ] = None,
    false_alarm_rate: Annotated[
        float | None, typer.Option(help="Share of good parts that may be rejected, default 0.01.")
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            help="exact (default), or approximate: exact only where the score is decided. Its "
            "error on training images is measured; above a thousandth, search stays exact."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness, default 0.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    memory: Annotated[
        str, typer.Option(help="The most memory that fitting may take, as 800MiB.")
    ] = "4GiB",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit a model on the training images of a prepared data set (4.3)."""
    from patchcore_dual.cli.console import console, print_json, progress_bar
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.data.subsets import choose_defects, choose_synthetic
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.model.folder import check_writable
    from patchcore_dual.settings import PRESETS
    from patchcore_dual.training.synthetic_choice import (
        check_synthetic_choice,
        choose_synthetic_count,
    )
    from patchcore_dual.utils.memory import parse_memory

    if preset is not None and preset not in PRESETS:
        raise SettingsError(f"no preset {preset!r}; there are: {', '.join(PRESETS)}.")
    asked: dict[str, Any] = {
        "backbone": backbone,
        "levels": parse_levels(levels) if levels is not None else None,
        "defect_levels": parse_levels(defect_levels) if defect_levels is not None else None,
        "scoring": scoring,
        "patches": patches,
        "bank_vectors": bank_vectors,
        "normal_rate": normal_rate,
        "defect_rate": defect_rate,
        "false_alarm_rate": false_alarm_rate,
        "search": search,
        "seed": seed,
    }
    chosen = {k: v for k, v in asked.items() if v is not None}
    settings = {**(PRESETS[preset] if preset else {}), **chosen}
    manifest = choose_defects(Manifest.load(prepared), defects, exclude_kind or (), seed or 0)
    which = parse_synthetic(synthetic)
    limit = parse_memory(memory)
    detector = PatchCoreDual(weights=weights, device=device, **settings)
    check_writable(model)
    unfinished = model.absolute().parent / f".{model.absolute().name}.unfinished"
    if which == "best":
        check_synthetic_choice(detector, manifest)
    else:
        manifest = choose_synthetic(manifest, which)
    gain = None
    with progress_bar() as progress:
        banks = detector.normal_banks(
            manifest.part(split="train"),
            progress,
            unfinished=unfinished,
            memory=limit,
            tell=lambda message: console.print(message, markup=False),
        )
        if which == "best":
            gain = choose_synthetic_count(detector, manifest, banks, progress)
            manifest = choose_synthetic(manifest, gain.kept)
        detector.fit(manifest, progress, banks)
    detector.save(model)
    shutil.rmtree(unfinished, ignore_errors=True)
    if as_json:
        told = {"synthetic_gain": asdict(gain)} if gain else {}
        print_json({**describe(detector.model, model), **told})
    else:
        if gain:
            print(gain)
        _print(detector.model, model, prepared)


def parse_levels(text: str) -> tuple[int, ...]:
    """`2,3` as (2, 3)."""
    from patchcore_dual.errors import SettingsError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(f"levels {text!r}: give numbers, as 2,3.") from None


def parse_synthetic(text: str) -> Literal["all", "none", "best"] | int:
    """`all`, `none`, `best`, or a number."""
    from patchcore_dual.errors import SettingsError

    if text in ("all", "none", "best"):
        return text  # type: ignore[return-value]
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"--synthetic is {text!r}; use all, none, best or a number.") from None


def describe(model: "Model", folder: Path) -> dict[str, Any]:
    """What was fitted, as plain values."""
    threshold = model.thresholds.image
    return {
        "model": str(folder),
        "normal_vectors": len(model.normal_bank),
        "defect_vectors": len(model.defect_bank) if model.defect_bank else 0,
        "scoring": model.about()["scoring"],
        "threshold": threshold.value,
        "false_alarm_rate_asked": model.settings.false_alarm_rate,
        "false_alarm_rate_promised": threshold.false_alarm_rate,
        "held_out_images": threshold.images,
        "rule": model.rule.state()[0],
        "search": {"asked": model.settings.search, **asdict(model.adaptive_search)},
        "trained_on": model.trained_on,
    }


def _print(model: "Model", folder: Path, prepared: Path) -> None:
    from patchcore_dual.scoring.fusion.calibrated import Calibrated

    facts, threshold = model.trained_on, model.thresholds.image
    asked = model.settings.false_alarm_rate
    print(
        f"{folder}: {len(model.normal_bank)} normal vectors of {facts['normal_images']} good "
        f"images, {len(model.defect_bank or ())} defect vectors of "
        f"{facts['defective_images']} defective ones"
        + "".join(f" and {n} made by {name}" for name, n in facts["synthetic_images"].items())
        + "."
    )
    if facts["test_masks_used"]:
        print("Some of those have masks of test defects: figures on the test images are flattered.")
    if model.defect_bank is None:
        print("No defect bank: this model knows good parts only, as PatchCore does.")
    if facts["defective_images_without_mask"]:
        print(
            f"{facts['defective_images_without_mask']} defective images have no mask: the likely "
            "place of the defect was proposed. Masks are better where you can draw them."
        )
    print(
        f"Threshold {threshold.value:.4g} from {threshold.images} held-out good images: at most "
        f"{threshold.false_alarm_rate:.2%} false alarms."
    )
    if isinstance(model.rule, Calibrated) and model.defect_bank is not None:
        print(
            model.rule.guard or "Guard: too few defects (or one kind) to leave some out and look."
        )
    look = model.adaptive_search
    if look.exact_share < 1:
        print(
            f"Approximate search: the {look.exact_share:.1%} of each image that decides are "
            f"searched exactly; image scores within {look.score_error:.1e} of exact ones on "
            f"{look.images} training images."
        )
    elif model.settings.search == "approximate":
        print(
            "Search stays exact: the bank is small, or no approximation kept image scores within "
            "a thousandth."
        )
    if threshold.false_alarm_rate > asked:
        print(
            f"  {asked:.2%} was asked for; that takes {round(1 / asked) - 1} good images. "
            "The threshold is the largest held-out score."
        )
    print(f"Next: patchcore-dual evaluate {folder} {prepared} --report REPORT")
