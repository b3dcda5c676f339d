"""`patchcore-dual diff`: what two models, or two versions of one, do differently."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from patchcore_dual.cli.choices import AsJson, Device

if TYPE_CHECKING:
    from patchcore_dual.experiments.comparison import Comparison

_LISTED = 20  # images that a list names before it is cut


def diff(
    first: Annotated[Path, typer.Argument(help="A model folder, or a version as MODEL@3.")],
    second: Annotated[Path, typer.Argument(help="Another one.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Compare the verdicts on the images of this folder, which `prepare` wrote.",
            metavar="PREPARED",
        ),
    ] = None,
    split: Annotated[
        Literal["test", "train"], typer.Option(help="The images to compare on.")
    ] = "test",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write pictures of the images of which the verdicts differ, and a page that shows "
            "them, into this new folder.",
            metavar="FOLDER",
        ),
    ] = None,
    allow_training_images: Annotated[
        bool,
        typer.Option(
            "--allow-training-images",
            help="Compare on test images that a model was fitted on or taught.",
        ),
    ] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Compare two models, or two versions of one.

    Prints which settings, thresholds and images in the banks differ. With
    --data also which verdicts differ on images with known labels, and by how
    much recall and false alarms do, with paired 95 % intervals.

    Example: patchcore-dual diff model@1 model --data prepared --out difference
    """
    from patchcore_dual.cli.console import console, print_json, progress_bar
    from patchcore_dual.data.listing import OUTPUT_MARKER
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.live.difference import differences
    from patchcore_dual.utils.dependencies import missing
    from patchcore_dual.utils.staging import check_replaceable

    if data is None and (out is not None or allow_training_images):
        raise SettingsError("--out and --allow-training-images are for --data PREPARED. Add it.")
    if out is not None:
        check_replaceable(out, OUTPUT_MARKER, "comparison", False, "Name another one.")
    manifest = Manifest.load(data) if data is not None else None
    detectors = [PatchCoreDual.load(model, device=device) for model in (first, second)]
    names = [str(first), str(second)]
    found = {
        "models": names,
        "fingerprints": [detector.fingerprint for detector in detectors],
        **differences(detectors[0].model, detectors[1].model),
    }
    comparison = page = None
    if manifest is not None:
        from patchcore_dual.experiments.comparison import compare, write_comparison

        with progress_bar() as progress:
            comparison = compare(
                detectors, manifest, split, progress, allow_training_images=allow_training_images
            )
        found["on"] = {"data": str(data), "split": split, **comparison.to_json()}
        if out is not None:
            lines = [*model_lines(found), "", *figure_lines(comparison)]
            page = write_comparison(comparison, names, detectors, manifest, out, lines)
            found["on"]["page"] = str(page)
            if page == out:
                console.print(f"Pictures, but no page: {missing('jinja2', 'it')}")
    if as_json:
        print_json(found)
        return
    for line in model_lines(found):
        print(line)
    if comparison is not None:
        print()
        for line in [*figure_lines(comparison), *change_lines(comparison)]:
            print(line)
    if page is not None:
        print(f"Pictures: {page}")


def model_lines(found: dict[str, Any]) -> list[str]:
    """What differs between the models themselves, for people."""
    names, prints = found["models"], found["fingerprints"]
    if prints[0] == prints[1]:
        return [f"{names[0]} and {names[1]} are the same model, fingerprint {prints[0]}."]
    rows = [("", *names), ("fingerprint", *prints)]
    rows += [(f"setting {name}", *map(str, pair)) for name, pair in found["settings"].items()]
    images = {**found["images"]}
    if shares := images.pop("inspected_share", None):
        images["region of interest"] = list(map(_share, shares))
    rows += [(name, *pair) for name, pair in images.items()]
    rows += [(f"{name} threshold", *map(_number, p)) for name, p in found["thresholds"].items()]
    labels = {
        "false_alarm_rate_expected": "false alarms expected",
        "recall_known": "held-out defects found",
        "recall_left_out": "of left-out kinds",
    }
    rows += [(label, *map(_share, found["held_out"][name])) for name, label in labels.items()]
    for name, bank in found["banks"].items():
        sizes = zip(bank["vectors"], bank["images"], strict=True)
        rows.append((f"{name} bank", *(f"{n} patches of {k} images" for n, k in sizes)))
    lines = _columns(rows)
    for name, bank in found["banks"].items():
        for how in ("added", "removed"):
            lines += _cut([f"{how} in the {name} bank: {image}" for image in bank[how]])
    return lines


def figure_lines(comparison: "Comparison") -> list[str]:
    """Metrics of both models and their paired difference, for people."""
    from patchcore_dual.evaluation.metric_labels import METRICS

    rows: list[Sequence[str]] = [("", "first", "second", "difference", "95 % interval")]
    for name, figure in comparison.differences.items():
        metric = METRICS[name]
        values = [getattr(e, name) for e in (comparison.first, comparison.second)]
        if all(map(math.isnan, values)):
            continue
        scale, unit = (100, " points") if metric.is_percent else (1, "")
        ends = [f"{scale * end:+.{1 if unit else 3}f}" for end in (figure.low, figure.high)]
        difference = f"{scale * figure.mean:+.{1 if unit else 3}f}{unit}"
        span = "–" if math.isnan(figure.low) else f"{ends[0]} to {ends[1]}{unit}"
        rows.append((metric.name, *map(metric.text, values), difference, span))
    warnings = [*comparison.first.warnings, *comparison.second.warnings]
    return [*_columns(rows), *dict.fromkeys(warnings)]


def change_lines(comparison: "Comparison") -> list[str]:
    """The images of which the verdicts differ, for people."""
    changes, n = comparison.changes, len(comparison.first.images)
    if not changes:
        return [f"Both have the same verdict on all {n} images."]
    counts = ", ".join(f"{what}: {k}" for what, k in comparison.counts.items())
    lines = [f"Verdicts that differ: {len(changes)} of {n} ({counts})"]
    return lines + _cut(
        [
            f"{c.what}: {c.first.path}{f' ({c.first.kind})' if c.first.kind else ''}, "
            f"score {c.first.score:.4g} → {c.second.score:.4g}"
            for c in changes
        ]
    )


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:{widths[0]}}", *cells]))
    return lines


def _cut(lines: list[str]) -> list[str]:
    shown = [f"  {line}" for line in lines[:_LISTED]]
    more = len(lines) - _LISTED
    return [*shown, f"  … {more} more, shown by --json"] if more > 0 else shown


def _number(value: float) -> str:
    return f"{value:.4g}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
