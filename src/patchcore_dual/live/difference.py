"""What two models, or two versions of one, differ in by themselves: no image is needed."""

from typing import Any

from patchcore_dual.banks import MemoryBank
from patchcore_dual.model import Model
from patchcore_dual.scoring import operating_point

_OF_IMAGES = ("size", "inspected_share", "alignment")


def differences(first: Model, second: Model) -> dict[str, Any]:
    """What differs between two models, as plain values.

    Returns:
        `settings`: those that differ, each as a pair.
        `images`: `size`, `inspected_share` and `alignment` of `Model.about`, those that differ,
            each as a pair.
        `thresholds`: image, review and pixel threshold, each as a pair.
        `held_out`: what the image threshold does to held-out training images, each as a pair of
            shares, or None where a model keeps none.
        `banks`: for "normal" and "defect" the numbers of vectors and of images, as pairs, and the
            images that were added and removed.
    """
    models = (first, second)
    settings = [model.settings.model_dump(mode="json") for model in models]
    images = [{name: model.about()[name] for name in _OF_IMAGES} for model in models]
    points = [
        operating_point(m.held_out, m.thresholds.image) if m.held_out else None for m in models
    ]
    return {
        "settings": _unequal(*settings),
        "images": _unequal(*images),
        "thresholds": {
            "image": [m.thresholds.image.value for m in models],
            "review": [m.thresholds.review.value for m in models],
            "pixel": [m.thresholds.pixel for m in models],
        },
        "held_out": {
            "false_alarm_rate_expected": [m.thresholds.image.expected for m in models],
            "recall_known": [p.recall_known if p else None for p in points],
            "recall_left_out": [p.recall_left_out if p else None for p in points],
        },
        "banks": {
            "normal": _of_banks(first.normal_bank, second.normal_bank),
            "defect": _of_banks(first.defect_bank, second.defect_bank),
        },
    }


def _unequal(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {name: [first[name], second[name]] for name in first if first[name] != second[name]}


def _of_banks(first: MemoryBank | None, second: MemoryBank | None) -> dict[str, Any]:
    sources = [bank.sources if bank is not None else () for bank in (first, second)]
    known = [set(names) for names in sources]
    return {
        "vectors": [len(bank) if bank is not None else 0 for bank in (first, second)],
        "images": [len(names) for names in sources],
        "added": [name for name in sources[1] if name not in known[0]],
        "removed": [name for name in sources[0] if name not in known[1]],
    }
