"""Whether the parts that a model inspects still look like those that it was fitted on."""

import hashlib
import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.errors import DataError
from patchcore_dual.live.drift_report import draw
from patchcore_dual.live.sentinel import Sentinel
from patchcore_dual.live.watching import Watch
from patchcore_dual.scoring.drift_reference import DriftReference
from patchcore_dual.scoring.inspection import Inspection
from patchcore_dual.utils.files import write_atomically

_log = logging.getLogger(__name__)
_EVERY = 100  # inspections after which the state is written
_SECONDS = 60.0  # or after which it is, at the next inspection


class StationDrift:
    """A sentinel over the inspections of one model, kept across restarts.

    It goes on where the reference is the same as before, as after a change of thresholds. A model
    that was taught, undone or fitted again has another one: then it begins anew. A station that is
    killed forgets the inspections since it wrote its state, a hundred at most.

    Args:
        reference: of the model; None for one that keeps none.
        path: of the file that holds the state.
    """

    def __init__(self, reference: DriftReference | None, path: Path) -> None:
        self._watch, self._path, self._lock = Watch(reference), path, threading.Lock()
        self._unsaved, self._saved_at, self._is_failing = 0, time.monotonic(), False
        self._id = ""
        if reference is not None:
            self._id = _digest(reference)
            self._watch.sentinel = self._restored(reference) or self._watch.sentinel

    def add(self, inspection: Inspection) -> None:
        """Take in an inspection."""
        with self._lock:
            before = self._watch.sentinel is not None and self._watch.sentinel.is_drifting
            state = self._watch.add(inspection)
            if state["status"] == "not measured":
                return
            self._unsaved += 1
            is_new = (state["status"] == "drifting") != before
            if is_new and not before:
                _log.warning("%s: %s", self._path.stem, state["message"])
            is_due = time.monotonic() - self._saved_at > _SECONDS
            if is_new or is_due or self._unsaved >= _EVERY:
                self._save()

    def state(self) -> dict[str, Any]:
        """As `Watch.state`."""
        with self._lock:
            return self._watch.state()

    def picture(self) -> np.ndarray | None:
        """As `drift_report.draw`; None where nothing was inspected, or drift is not measured."""
        with self._lock:
            sentinel = self._watch.sentinel
            return draw(sentinel) if sentinel is not None and sentinel.images else None

    def save(self) -> None:
        """Write the state, as at the end."""
        with self._lock:
            if self._unsaved:
                self._save()

    def _save(self) -> None:
        assert self._watch.sentinel is not None
        values = {"reference": self._id, "sentinel": self._watch.sentinel.to_json()}
        self._unsaved, self._saved_at = 0, time.monotonic()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path, json.dumps(values).encode())
            self._is_failing = False
        except (DataError, OSError) as error:
            if not self._is_failing:
                _log.warning("The state of drift is not kept across a restart: %s", error)
            self._is_failing = True

    def _restored(self, reference: DriftReference) -> Sentinel | None:
        try:
            values = json.loads(self._path.read_bytes())
            if values["reference"] != self._id:
                return None
            return Sentinel.from_json(reference, values["sentinel"])
        except FileNotFoundError:
            return None
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            _log.warning("%s is damaged (%s): drift is watched from now on.", self._path, error)
            return None


def worst(states: list[dict[str, Any]]) -> dict[str, str]:
    """The drift of several models as one status: "drifting" where one of them drifts.

    >>> worst([{"status": "stable"}, {"status": "not measured"}])
    {'status': 'stable'}
    """
    found = {state["status"] for state in states}
    order = ("drifting", "stable")
    return {"status": next((one for one in order if one in found), "not measured")}


def _digest(reference: DriftReference) -> str:
    content = hashlib.sha256("\n".join(reference.names).encode())
    for _, values in sorted(reference.to_arrays().items()):
        content.update(np.ascontiguousarray(values).tobytes())
    return content.hexdigest()
