"""Thresholds, versions and tags, set in the editor's process: plain values in, plain values out."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from patchcore_dual.live import tag, undo
from patchcore_dual.live.threshold import set_thresholds
from patchcore_dual.model.versions import history
from patchcore_dual.scoring.operating_points import Costs, as_values, operating_point


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


def known_versions(folder: Path) -> Sequence[dict[str, Any]]:
    """The versions of a model as plain values, the oldest first."""
    ledger = history(folder)
    return [
        {**version.model_dump(mode="json"), "pruned": version.fingerprint in ledger.pruned}
        for version in ledger.versions
    ]
