"""What is said of a model, and of what two of its versions do differently, as plain values."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ImageError, PatchCoreDualError
from patchcore_dual.live.difference import differences
from patchcore_dual.live.held_out import held_out_results
from patchcore_dual.live.images import FOLDER
from patchcore_dual.live.pictures import picture_files
from patchcore_dual.live.preview import Change
from patchcore_dual.model import Model, load_with_fingerprint
from patchcore_dual.scoring import RULES
from patchcore_dual.scoring.operating_points import as_values
from patchcore_dual.station.serving.detectors import Detectors
from patchcore_dual.station.serving.explanations import png
from patchcore_dual.training.deciding_images import deciding_images_of
from patchcore_dual.utils.files import file_sha256


def described(folder: Path) -> dict[str, Any]:
    """What there is to know of the model in a folder.

    Returns:
        Its `fingerprint`, `size`, `inspected_share` of each image, `backbone`, `scoring`,
        `thresholds` with what each expects and promises, `operating_points`, `held_out` scores of
        good images and of defects, numbers of `training_images`, `taught` images, and
        `can_be_taught` with `why_not`.
    """
    model, fingerprint, _ = load_with_fingerprint(folder)
    results, thresholds = model.held_out, model.thresholds
    why_not = _why_not(model, folder)
    facts = model.trained_on
    return {
        "fingerprint": fingerprint,
        "size": list(model.size) if model.size else None,
        "inspected_share": model.inspected_share,
        "backbone": model.spec.backbone,
        "scoring": model.rule.name,
        "thresholds": {
            "image": _threshold(thresholds.image),
            "review": _threshold(thresholds.review),
            "review_share": thresholds.review_share,
            "pixel": thresholds.pixel,
            "sentences": [str(thresholds.image), thresholds.review_text()],
        },
        "operating_points": [as_values(point) for point in model.operating_points()],
        "held_out": {
            "good": [float(s) for s in results.normals.scores] if results else [],
            "defects": [float(s) for s in results.known] if results else [],
            "left_out": [[float(s) for s in one] for one in results.left_out] if results else [],
        },
        "training_images": {
            "good": facts.get("normal_images", 0),
            "defects": facts.get("defective_images", 0),
            "synthetic": sum(facts.get("synthetic_images", {}).values()),
            "kinds": facts.get("kinds", []),
        },
        "taught": len(facts.get("taught", {})),
        "can_be_taught": not why_not,
        "can_be_taught_defects": not why_not and RULES[model.settings.scoring].uses_defects,
        "why_not": why_not,
    }


def compared(
    folder: Path, first: str, second: str, logged: Sequence[tuple[str, Path]]
) -> dict[str, Any]:
    """What two versions of a model do differently.

    Args:
        folder: of the model.
        first, second: number or tag of each version.
        logged: files of images that were inspected lately, by their ids.

    Returns:
        `versions`, `fingerprints`; `differences` as `live.difference.differences`; `calibration`
        and `logged` with the number of images that were judged by both (`n`) and those of which
        the verdict differs (`changes`).
    """
    places = [folder.with_name(f"{folder.name}@{which}") for which in (first, second)]
    detectors = Detectors()
    one, other = (detectors.load(place) for place in places)
    return {
        "versions": [first, second],
        "fingerprints": [one.fingerprint, other.fingerprint],
        "differences": differences(one.model, other.model),
        "calibration": _held_out_changes(one.model, other.model),
        "logged": _logged_changes(one, other, logged),
    }


def training_images(folder: Path) -> list[dict[str, Any]]:
    """The training images that a person should look at, likely mistakes first.

    Returns:
        Of each its `key` for a link, `image` (its name), `reason`, `score`, the threshold
        `without` it, whether it `is_in_model` (not set aside), and whether a picture `is_at_hand`.
    """
    model, _, _ = load_with_fingerprint(folder)
    learned = model.calibration.sha256 if model.calibration else {}
    found = []
    for name, (one, reason) in deciding_images_of(model).reasons().items():
        found.append(
            {
                "key": key_of(name),
                "image": name,
                "reason": reason,
                "score": one.score,
                "without": one.without,
                "is_in_model": name in learned,
                "is_at_hand": _picture_path(model, folder, name) is not None,
            }
        )
    return found


def training_picture(folder: Path, key: str) -> bytes | None:
    """The picture of a training image as a PNG file, by its key; None where it is not at hand."""
    model, _, _ = load_with_fingerprint(folder)
    calibration = model.calibration
    known = calibration.sha256 if calibration else {}
    for name in (*known, *model.trained_on.get("set_aside_sha256", {})):
        if key_of(name) == key:
            path = _picture_path(model, folder, name)
            return None if path is None else png(read_image(path, model.bit_depth))
    return None


def key_of(name: str) -> str:
    """16 hex digits that stand for the name of a training image in links.

    >>> key_of("train/negative/3.png")
    '314436e8ac223c79'
    """
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _threshold(threshold: Any) -> dict[str, Any]:
    return {**asdict(threshold), "shortfall": threshold.shortfall}


def _why_not(model: Model, folder: Path) -> str:
    """Why the model cannot be taught; "" where it can."""
    if model.calibration is None:
        return "The model keeps no calibration set. Fit it again."
    if not all(os.access(place, os.W_OK) for place in (folder, folder.resolve().parent)):
        return f"{folder} is not writable."
    if any((folder / FOLDER).glob("*.json")):
        return ""
    try:
        Manifest.load(Path(model.calibration.prepared))
    except (PatchCoreDualError, OSError):
        return (
            "The images that the model was fitted on are not at hand. Run `patchcore-dual teach "
            "MODEL --get-ready` where they are, and copy the model then."
        )
    return ""


def _held_out_changes(first: Model, second: Model) -> dict[str, Any]:
    if first.calibration is None or second.calibration is None:
        return {"n": 0, "changes": []}
    was, now = held_out_results(first), held_out_results(second)
    common = [name for name in was if name in now]
    changes = [
        Change(n, was[n].is_defect, was[n].verdict, now[n].verdict, was[n].score, now[n].score)
        for n in common
        if was[n].verdict != now[n].verdict
    ]
    return {"n": len(common), "changes": [change._asdict() for change in changes]}


def _logged_changes(
    first: PatchCoreDual, second: PatchCoreDual, logged: Sequence[tuple[str, Path]]
) -> dict[str, Any]:
    count, changes = 0, []
    for id, path in logged:
        try:
            one, other = first.inspect(path, name=id), second.inspect(path, name=id)
        except ImageError:  # removed meanwhile
            continue
        count += 1
        if one.verdict != other.verdict:
            change = Change(id, None, one.verdict, other.verdict, one.score, other.score)
            changes.append(change._asdict())
    return {"n": count, "changes": changes}


def _picture_path(model: Model, folder: Path, name: str) -> Path | None:
    """The file of a training image that the model names: in the prepared folder, or kept."""
    calibration = model.calibration
    if calibration is None:
        return None
    sha256 = {**calibration.sha256, **model.trained_on.get("set_aside_sha256", {})}.get(name, "")
    path = Path(calibration.prepared) / name
    if sha256 and path.is_file() and file_sha256(path) == sha256:
        return path
    return picture_files(folder / FOLDER).get(name)
