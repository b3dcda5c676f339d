"""What the editor's process does to a model: each function takes and gives values that pickle."""

import base64
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.data.reading import read
from patchcore_dual.data.resizing import resize_mask
from patchcore_dual.errors import DataError
from patchcore_dual.live import Lesson, commit, editing, tag, undo
from patchcore_dual.live.threshold import set_thresholds
from patchcore_dual.model.versions import history
from patchcore_dual.scoring.operating_points import Costs, as_values, operating_point
from patchcore_dual.station.serving.detectors import Detectors
from patchcore_dual.station.serving.explanations import png
from patchcore_dual.station.serving.image_limits import check_image


@dataclass(frozen=True)
class LessonAsked:
    """A lesson as it comes from outside.

    Attributes:
        image: the stored file of the image.
        name: what the model is to call it; no path.
        is_defect: whether it shows a defect.
        mask: the bytes of a picture in which the defect is bright; None to have it proposed.
        kind, group: see `live.Lesson`.
        by, why: for the ledger.
        dry_run: only show what would change.
        force: accept it whatever it costs.
        inspected: files that were inspected lately, whose verdicts are compared, by their ids.
        max_pixels: of the mask.
    """

    image: Path
    name: str
    is_defect: bool
    mask: bytes | None = None
    kind: str = ""
    group: str = ""
    by: str = ""
    why: str = ""
    dry_run: bool = False
    force: bool = False
    inspected: tuple[tuple[str, Path], ...] = ()
    max_pixels: int = 100_000_000


def teach(folder: Path, asked: LessonAsked) -> dict[str, Any]:
    """Teach a model one image, or show what that would change.

    Returns:
        `Preview.to_json()`; and `notes`, `accepted`, the `version` that is in place, its
        `fingerprint`, whether that was `changed`, and `proposed_mask`, a grey PNG in base64 of
        the image's size, where no mask was given for a defect.

    Raises:
        DataError, SettingsError, ModelError: as on the command line.
    """
    mask = None if asked.mask is None else read_mask(asked.mask, asked.max_pixels)
    lesson = Lesson(asked.image, asked.is_defect, mask, asked.kind, asked.group, asked.name)
    former = len(history(folder))
    with nullcontext() if asked.dry_run else editing(folder):
        detector = Detectors().load(folder)
        outcome = detector.teach(
            lesson,
            inspected=[path for _, path in asked.inspected],
            dry_run=asked.dry_run,
            force=asked.force,
        )
        number = None
        if outcome.is_accepted:
            edit = outcome.edit(by=asked.by, why=asked.why)
            number = commit(folder, detector.model, edit).number
    (one,) = outcome.teaching.taught
    proposed = None
    if one.is_proposed and one.mask is not None:
        height, width = one.original.shape[:2]
        picture = resize_mask(one.mask, width, height).astype(np.uint8) * np.uint8(255)
        proposed = base64.b64encode(png(picture)).decode()
    shown = outcome.preview.to_json()
    ids = {str(path): id for id, path in asked.inspected}
    shown["inspected"] = [{**c, "image": ids.get(c["image"], "")} for c in shown["inspected"]]
    return {
        **shown,
        "notes": outcome.teaching.notes,
        "accepted": outcome.is_accepted,
        "version": number,
        "changed": number is not None and number > former,
        "fingerprint": detector.fingerprint,
        "proposed_mask": proposed,
    }


def thresholds(
    folder: Path,
    *,
    false_alarm_rate: float | None = None,
    recall: float | None = None,
    costs: Costs | None = None,
    review_rate: float | None = None,
    by: str = "",
    why: str = "",
    dry_run: bool = False,
) -> dict[str, Any]:
    """Set the thresholds of a model, or show what that would change; see `set_thresholds`."""
    former = len(history(folder))
    done = set_thresholds(
        folder,
        false_alarm_rate=false_alarm_rate,
        recall=recall,
        costs=costs,
        review_rate=review_rate,
        by=by,
        why=why,
        dry_run=dry_run,
    )
    before, after = done.before.thresholds, done.after.thresholds
    return {
        "threshold_before": before.image.value,
        "review_before": before.review.value,
        **as_values(operating_point(done.results, after.image), costs),
        "review": asdict(after.review),
        "review_share_expected": after.review_share,
        "sentences": [str(after.image), after.review_text()],
        "accepted": done.version is not None,
        "version": done.version.number if done.version else None,
        "changed": done.version is not None and done.version.number > former,
        "fingerprint": done.version.fingerprint if done.version else None,
    }


def undone(folder: Path, to: int | None, by: str, why: str) -> dict[str, Any]:
    """Put an earlier version of a model in place; see `live.undo`."""
    before = history(folder)
    was = before.origin(before.last).number if len(before) else None
    version = undo(folder, to, by=by, why=why)
    now = history(folder).origin(version).number
    return {
        "was": was,
        "now": now,
        "version": version.number,
        "fingerprint": version.fingerprint,
        "changed": version.number != len(before),
    }


def tagged(folder: Path, name: str, number: int | None, by: str, why: str) -> dict[str, Any]:
    """Name a version of a model; see `live.tag`."""
    former = len(history(folder))
    version = tag(folder, name, number, by=by, why=why)
    return {
        "version": version.number,
        "changed": version.number > former,
        "fingerprint": version.fingerprint,
        "tags": history(folder).tags,
    }


def read_mask(content: bytes, max_pixels: int) -> np.ndarray:
    """The defect that somebody painted, bool `[H, W]`: what is bright and not transparent.

    Raises:
        ImageError: for what is no image, or a larger one.
    """
    check_image(content, max_pixels)
    return np.asarray(read(content, name="the mask").pixels.max(axis=2) > 127)


def decode_mask(text: str) -> bytes:
    """The bytes of a mask in base64, with or without `data:image/png;base64,` before it.

    >>> decode_mask("data:image/png;base64,iVBORw==")
    b'\\x89PNG'
    """
    try:
        return base64.b64decode(text.rpartition(",")[2], validate=True)
    except ValueError:
        raise DataError("the mask is not base64. Send a PNG file in base64.") from None


def known_versions(folder: Path) -> Sequence[dict[str, Any]]:
    """The versions of a model as plain values, the oldest first."""
    ledger = history(folder)
    return [
        {**version.model_dump(mode="json"), "pruned": version.fingerprint in ledger.pruned}
        for version in ledger.versions
    ]
