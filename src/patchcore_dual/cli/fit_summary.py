"""What `fit` says at its end: as plain values, and in sentences."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.model import Model
    from patchcore_dual.scoring import OperatingPoint
    from patchcore_dual.scoring.operating_points import Costs
    from patchcore_dual.training import Fit
    from patchcore_dual.training.deciding_images import DecidingImage, DecidingImages
    from patchcore_dual.utils.spread import Spread

_WORTH = 0.03  # share of good parts rejected in other light, from which a better fit is worth it


def describe(
    fitted: "Fit",
    folder: Path,
    manifest: "Manifest",
    decide: "DecidingImages",
    costs: "Costs | None" = None,
) -> dict[str, Any]:
    """What was fitted, as plain values."""
    from patchcore_dual.model import fingerprint
    from patchcore_dual.scoring.operating_points import as_values, cheapest_point
    from patchcore_dual.utils.memory import peak

    model = fitted.model
    threshold = model.thresholds.image
    cheapest = cheapest_point(model.held_out, costs) if costs and model.held_out else None
    return {
        "model": str(folder),
        "fingerprint": fingerprint(model),
        "peak_memory": peak(),
        "warnings": warnings(model, decide),
        "former_version": fitted.former.number if fitted.former else None,
        "normal_vectors": len(model.normal_bank),
        "defect_vectors": len(model.defect_bank) if model.defect_bank else 0,
        "scoring": model.rule.name,
        **({"roi_share": float(model.roi.mean())} if model.roi is not None else {}),
        "threshold": threshold.value,
        "false_alarm_rate_asked": threshold.asked,
        "false_alarm_rate_expected": threshold.expected,
        "false_alarm_rate_promised": threshold.promised,
        "review_threshold": model.thresholds.review.value,
        "review_share_expected": model.thresholds.review_share,
        "held_out_images": threshold.images,
        "held_out_groups": threshold.groups,
        "operating_points": [as_values(point, costs) for point in model.operating_points()],
        **({"least_cost": as_values(cheapest, costs) if cheapest else None} if costs else {}),
        "rule": model.rule.state()[0],
        "search": {"asked": model.settings.search, **asdict(model.adaptive_search)},
        "trained_on": model.trained_on,
        "size": model.size,
        **({"size_choice": asdict(fitted.size)} if fitted.size else {}),
        "deciding_images": _with_sources(asdict(decide), manifest),
        **({"synthetic_gain": asdict(fitted.synthetic)} if fitted.synthetic else {}),
        "precision": model.spec.precision,
        **({"precision_cost": asdict(fitted.precision)} if fitted.precision else {}),
    }


def _with_sources(found: dict[str, Any], manifest: "Manifest") -> dict[str, Any]:
    """The images that decide, each with the file that it was prepared from."""
    sources = {s.image: s.source for s in manifest}
    return {
        group: [{**one, "source": sources.get(one["image"], "")} for one in images]
        for group, images in found.items()
    }


def summary(
    model: "Model", folder: Path, sheet: Path | None = None, costs: "Costs | None" = None
) -> list[str]:
    """What was fitted, in sentences."""
    facts = model.trained_on
    synthetic = "".join(
        f", {n} synthetic by {name}" for name, n in facts["synthetic_images"].items()
    )
    lines = [
        f"{folder}: fitted on {facts['normal_images']} normal images "
        f"({len(model.normal_bank)} vectors) and {facts['defective_images']} defective "
        f"ones{synthetic} ({len(model.defect_bank or ())} vectors)."
    ]
    if count := facts.get("excluded_images", 0):
        lines.append(f"Left out as asked: {count} training image{'s' if count > 1 else ''}.")
    if model.roi is not None:
        lines.append(f"Region of interest: {model.roi.mean():.0%} of each image is inspected.")
    lines += [f"Warning: {one}" for one in _of_the_images(model)]
    if model.defect_bank is None:
        lines.append("No defect bank: this model knows normal parts only, as PatchCore does.")
    if count := facts["defective_images_without_mask"] if model.defect_bank else 0:
        where = f" See them in {sheet}: where one is wrong, draw a mask" if sheet else ""
        lines.append(
            f"Defective images without a mask: {count}. The place of each defect was guessed."
            f"{where or ' Draw masks where you can'}, prepare and fit again."
        )
    lines += [*_threshold(model, folder, costs), *_unknown_kinds(model), *_search(model)]
    return [*lines, *light_lines(model)]


def worker_lines(spread: "Spread") -> list[str]:
    """What other workers did, in sentences; nothing where the work was too small for them."""
    return [
        f"{share.node}, process {share.process}: {share.items} images and parts in "
        f"{share.seconds:.1f} s, at most {share.memory / 2**20:.0f} MiB."
        for share in spread.shares
    ]


def warnings(model: "Model", decide: "DecidingImages") -> list[str]:
    """What a person should look at before the model is used, in sentences."""
    facts, lines = model.trained_on, _of_the_images(model)
    if model.defect_bank is None:
        lines.append("There is no defect bank: the model knows normal parts only.")
    elif count := facts["defective_images_without_mask"]:
        lines.append(f"Defective images without a mask: {count}. The place of defects was guessed.")
    if model.thresholds.image.groups == 1 < model.thresholds.image.images:
        lines.append("All good training images are of one group: what is expected holds for it.")
    for images, what in (
        (decide.set_aside, "set aside as probably mislabelled"),
        (decide.like_defects, "that score like defects"),
    ):
        if images:
            lines.append(f"Good images {what}: {_named(images)}.")
    if decide.nothing_found:
        lines.append(f"Defective images in which nothing is found: {_named(decide.nothing_found)}.")
    return lines


def _of_the_images(model: "Model") -> list[str]:
    """What is wrong with the images that a model was fitted on, in sentences."""
    facts, lines = model.trained_on, []
    if count := facts.get("defects_outside_region", 0):
        lines.append(
            f"the defects of {count} training image{'s' if count > 1 else ''} lie outside the "
            "region of interest, and are not learned."
        )
    if facts["test_masks_used"]:
        lines.append(
            "some synthetic images use masks of test defects, so figures on the test images are "
            "too good."
        )
    return lines


def _named(images: "Sequence[DecidingImage]") -> str:
    names = ", ".join(one.image for one in images[:5])
    return names + (f" and {len(images) - 5} more" if len(images) > 5 else "")


def light_lines(model: "Model") -> list[str]:
    """What small changes of light do to good images, as a table; nothing where not measured."""
    from patchcore_dual.data.light import DESCRIPTIONS

    effects = model.trained_on.get("light")
    if not effects:
        return []
    lines = ["If the light changes: what it adds to the scores of good parts, and how many are"]
    lines += ["rejected, estimated from held-out training images:"]
    lines += [
        f"  {DESCRIPTIONS.get(name, name):<24} {one['rise']:+6.2f} {100 * one['rejected']:6.1f} %"
        for name, one in effects.items()
    ]
    if model.settings.robust == "none":
        usual = effects["unchanged"]["rejected"]
        if any(one["rejected"] > max(2 * usual, _WORTH) for one in effects.values()):
            lines.append("Where light varies on the line, fit with --robust light: it may help.")
    return lines


def _threshold(model: "Model", folder: Path, costs: "Costs | None") -> list[str]:
    """The threshold, what others would find, and which costs least."""
    from patchcore_dual.scoring.operating_points import (
        cheapest_point,
        least_cost_text,
        looser_text,
    )

    lines = [str(model.thresholds.image), model.thresholds.review_text()]
    if model.thresholds.image.groups == 1 < model.thresholds.image.images:
        lines.append(
            "All good training images are of one group and were held out one by one: what is "
            "expected holds for this group, not for others."
        )
    points, own = model.operating_points(), model.thresholds.image.value
    lines += operating_lines(points, own, costs)
    if text := looser_text(points, own, str(folder)):
        lines.append(text)
    if costs and model.held_out:
        cheapest = cheapest_point(model.held_out, costs)
        lines.append(least_cost_text(cheapest, costs, str(folder)))
    return lines


def operating_lines(
    points: "Sequence[OperatingPoint]", own: float, costs: "Costs | None" = None
) -> list[str]:
    """What the model's own threshold and others do, as a table; nothing without points."""
    from patchcore_dual.scoring.operating_points import table

    if not points:
        return []
    return [
        "Of held-out training images: false alarms allowed, expected and promised, defects",
        "found of known and left-out kinds, and good parts rejected of 1,000 (* as set):",
        *table(points, costs, own),
    ]


def _unknown_kinds(model: "Model") -> list[str]:
    """What the guard measured."""
    from patchcore_dual.scoring.fusion.calibrated import Calibrated

    if not isinstance(model.rule, Calibrated) or model.defect_bank is None:
        return []
    guard = model.rule.guard
    if guard is None:
        return [
            "How well defects of unknown kinds are found was not tried: that takes more defective "
            "images, of at least two kinds."
        ]
    use = "are used in full"
    if math.isinf(guard.discount):
        use = "are not used to score, since too many unknown kinds would be missed"
    elif guard.discount:
        use = "count less than they could, so that unknown kinds are found too"
    return [
        f"Known defects {use}. Share of held-out defects found, at false-alarm rates up to 10%: "
        f"{guard.seen:.0%} of known kinds ({guard.seen_without:.0%} without known defects), "
        f"{guard.unseen:.0%} of unknown kinds ({guard.unseen_without:.0%} without)."
    ]


def _search(model: "Model") -> list[str]:
    search = model.adaptive_search
    if search.exact_share < 1:
        return [
            f"Approximate search: exact distances for {search.exact_share:.1%} of an image at a "
            f"time; image scores are within {search.score_error:.1e} of exact ones on "
            f"{search.images} training images."
        ]
    if model.settings.search == "approximate":
        return [
            "Search stays exact: the bank is small, or no approximation kept image scores within "
            "a thousandth."
        ]
    return []
