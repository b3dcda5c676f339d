"""`Watch`: a sentinel over the inspections of one run, where the model has a reference."""

from typing import Any

from patchcore_dual.live.drift_report import NOT_GOOD, NOT_KEPT, advice, caveat, message, report
from patchcore_dual.live.sentinel import LEVEL, Sentinel
from patchcore_dual.scoring.drift_reference import DriftReference
from patchcore_dual.scoring.inspection import Inspection


class Watch:
    """Watches inspections for drift.

    >>> Watch(None).state()["status"]
    'not measured'

    Args:
        reference: of the model; None for a model that keeps none.
        level: probability that it ever gives a false alarm.
    """

    def __init__(self, reference: DriftReference | None, level: float = LEVEL) -> None:
        self.sentinel = None if reference is None else Sentinel(reference, level)
        self._rejected = 0

    def add(self, inspection: Inspection) -> dict[str, Any]:
        """Take in an inspection; return the state in short, as plain values.

        Returns:
            `status` ("not measured", "stable", "drifting"); of a drift `since`, the number of an
            image, from 1, and `message`.
        """
        if self.sentinel is None or inspection.appearance is None:
            return {"status": "not measured"}
        self._rejected += inspection.verdict in NOT_GOOD
        if not self.sentinel.add(inspection.appearance):
            return {"status": "stable"}
        assert self.sentinel.finding is not None
        return {
            "status": "drifting",
            "since": self.sentinel.finding.since,
            "message": message(self.sentinel),
        }

    def state(self) -> dict[str, Any]:
        """As `drift_report.report`; without a reference a `status`, and a `message` why."""
        if self.sentinel is None:
            return {"status": "not measured", "message": NOT_KEPT}
        return report(self.sentinel)

    def lines(self) -> list[str]:
        """What is to be said at the end of a run, in sentences; nothing without drift."""
        if self.sentinel is None:
            return []
        past = [
            f"From image {one.since:,} to about image {one.last:,} good parts were not like those "
            "the model was fitted on."
            for one in self.sentinel.past
        ]
        now = (
            [f"{message(self.sentinel)} {advice(self.sentinel)}"]
            if self.sentinel.is_drifting
            else []
        )
        also = caveat(self._rejected, self.sentinel.images) if past or now else ""
        return [*past, *now, *([also] if also else [])]
