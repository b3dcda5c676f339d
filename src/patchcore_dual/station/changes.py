"""Edits of the station's models: made as on the command line, written down, and told."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from patchcore_dual.errors import DataError, UnavailableError
from patchcore_dual.model.versions import history
from patchcore_dual.scoring.operating_points import Costs
from patchcore_dual.station.log import Decision, EditRecord, InspectionRecord
from patchcore_dual.station.serving.served_model import ServedModel
from patchcore_dual.station.serving.teaching import LessonAsked, RegionAsked, RemovalAsked
from patchcore_dual.station.station import Station


class By(NamedTuple):
    """Who makes an edit, and why."""

    name: str = ""
    why: str = ""


def teach(
    station: Station,
    model: str,
    record: InspectionRecord,
    label: Literal["good", "defect"],
    by: By,
    *,
    mask: bytes | None = None,
    kind: str = "",
    group: str = "",
    dry_run: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Teach a model an image that was inspected; see `teaching.teach`.

    Raises:
        FileNotFoundError: where the image was removed.
        DataError: for an inspection that another model made; as on the command line.
        SettingsError, ModelError: as on the command line.
    """
    served, path = station.model(model), _image_of(station, model, record)
    asked = LessonAsked(
        path,
        _name_of(record),
        label == "defect",
        mask,
        kind,
        group,
        station.settings.limits.max_pixels,
        by=by.name,
        why=by.why,
        dry_run=dry_run,
        force=force,
        inspected=tuple(one for one in station.recent_images(model) if one[0] != record.id),
    )
    done = station.lessons.teach(served, asked)
    if done["accepted"]:
        _write_down(station, served, done, record)
        decision = Decision(
            label=label,
            by=by.name,
            at=datetime.now(UTC),
            why=by.why,
            taught_version=done["version"],
        )
        try:
            station.decide(record.id, decision)
        except UnavailableError as error:  # the model has learned it all the same
            lost = f"The inspection could not be marked as decided: {error}"
            done["notes"] = [*done["notes"], lost]
    return done


def narrow(
    station: Station,
    model: str,
    record: InspectionRecord,
    mask: bytes,
    by: By,
    *,
    dry_run: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Have a model inspect less; see `teaching.teach`.

    Args:
        record: of the image that was drawn on.
        mask: the bytes of a picture of its size, bright where nothing is to be inspected any more.

    Raises:
        FileNotFoundError: where the image was removed.
        DataError: for an inspection that another model made; as on the command line.
        SettingsError, ModelError: as on the command line.
    """
    served = station.model(model)
    asked = RegionAsked(
        _image_of(station, model, record),
        mask,
        station.settings.limits.max_pixels,
        by=by.name,
        why=by.why,
        dry_run=dry_run,
        force=force,
        inspected=tuple(station.recent_images(model)),
    )
    done = station.lessons.teach(served, asked)
    _write_down(station, served, done, record)
    return done


def remove(
    station: Station,
    model: str,
    images: Iterable[str],
    by: By,
    *,
    dry_run: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Take training images out of a model, as mislabelled ones; see `teaching.teach`."""
    served = station.model(model)
    asked = RemovalAsked(
        tuple(images),
        by=by.name,
        why=by.why,
        dry_run=dry_run,
        force=force,
        inspected=tuple(station.recent_images(model)),
    )
    done = station.lessons.teach(served, asked)
    _write_down(station, served, done)
    return done


def set_thresholds(
    station: Station,
    model: str,
    by: By,
    *,
    false_alarm_rate: float | None = None,
    recall: float | None = None,
    costs: Costs | None = None,
    review_rate: float | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Set the thresholds of a model, or show what that would change."""
    served = station.model(model)
    done = station.lessons.set_thresholds(
        served,
        false_alarm_rate=false_alarm_rate,
        recall=recall,
        costs=costs,
        review_rate=review_rate,
        by=by.name,
        why=by.why,
        dry_run=dry_run,
    )
    _write_down(station, served, done)
    return done


def undo(station: Station, model: str, to: int | None, by: By) -> dict[str, Any]:
    """Put an earlier version of a model in place."""
    served = station.model(model)
    done = station.lessons.undo(served, to, by.name, by.why)
    _write_down(station, served, done)
    return done


def tag(station: Station, model: str, name: str, number: int | None, by: By) -> dict[str, Any]:
    """Name a version of a model."""
    served = station.model(model)
    done = station.lessons.tag(served, name, number, by.name, by.why)
    _write_down(station, served, done)
    return done


def _image_of(station: Station, model: str, record: InspectionRecord) -> Path:
    """The file of an inspected image, which retention spares from now on."""
    if record.model != model:
        raise DataError(
            f"inspection {record.id} was made by {record.model!r}. Have its image inspected by "
            f"{model!r} first, and name that inspection."
        )
    path = station.images.path(record.image)
    if not station.images.hold(record.image):
        raise FileNotFoundError(path)
    return path


def _write_down(
    station: Station,
    served: ServedModel,
    done: dict[str, Any],
    record: InspectionRecord | None = None,
) -> None:
    """Add an edit to the log as the model's ledger has it, unless nothing was changed."""
    if not done["changed"]:
        return
    version = history(served.folder).versions[done["version"] - 1]
    station.add_edit(
        EditRecord(
            id=station.log.new_id(),
            at=datetime.now(UTC),
            model=served.name,
            version=version.number,
            fingerprint=version.fingerprint,
            action=version.action,
            by=version.by,
            why=version.why,
            inspection=record.id if record else None,
            images=[image.sha256 for image in version.images],
            effects=dict(version.effects),
        )
    )


def _name_of(record: InspectionRecord) -> str:
    """What the model calls an image: it may be no path, whatever its sender called it."""
    name = re.sub(r"[^\w.-]+", "-", record.name).strip(".-")[-60:]
    return f"station/{record.id}{'-' if name else ''}{name}"
