"""`ServedModel`: a model that is served under a name, and follows its folder."""

import logging
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ModelError, PatchCoreDualError
from patchcore_dual.live.images import FOLDER
from patchcore_dual.live.pictures import TrainingPictures
from patchcore_dual.model.schema import MODEL_FILE, read_model_file
from patchcore_dual.model.versions import history
from patchcore_dual.scoring.inspection import Match
from patchcore_dual.station.serving.detectors import Detectors
from patchcore_dual.station.serving.drift import StationDrift

_log = logging.getLogger(__name__)
Stamp = tuple[int, int, int]
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds between two tries to load what cannot be used


class InUse(NamedTuple):
    """A detector, the number of its version in the ledger, if it is in it, and its drift."""

    detector: PatchCoreDual
    version: int | None
    drift: StationDrift


class ServedModel:
    """A model under a name. Whoever edits it, here or elsewhere, edits its folder.

    Args:
        name: that it is served under.
        folder: of the model.
        detectors: loads it.
        drift_file: where the state of its drift is kept.

    Attributes:
        name, folder: as given; the folder is absolute.
        in_use: what inspects now; replaced as a whole.
        problem: why the model on disk is not the one in use; "" where it is.

    Raises:
        ModelError: for a folder that holds no model that can be served.
    """

    def __init__(self, name: str, folder: Path, detectors: Detectors, drift_file: Path) -> None:
        self.name, self._detectors, self._drift_file = name, detectors, drift_file
        self.folder = folder = Path(os.path.abspath(folder))  # "." has no versions beside it
        self._lock = threading.Lock()
        self._stamp = _stamp_of(folder)
        self.problem = ""
        self._pause, self._again = _FIRST_PAUSE, 0.0
        self._former: PatchCoreDual | None = None  # the one that was asked for last
        self._take(detectors.load(folder))
        self._warm_up()

    @property
    def detector(self) -> PatchCoreDual:
        """The detector in use."""
        return self.in_use.detector

    @property
    def version(self) -> int | None:
        """Its version in the ledger."""
        return self.in_use.version

    @property
    def fingerprint(self) -> str:
        """Its fingerprint."""
        return self.in_use.detector.fingerprint

    def refresh(self, wait: bool = True) -> bool:
        """Take the model that is on disk now; between two inspections.

        A model that cannot be read is not taken: the one in use stays, and `problem` says why. It
        is tried again now and then, since it may be a copy that is not complete yet.

        Args:
            wait: whether to wait where another thread does the same just now; the model in use
                stays until that one is ready.

        Returns:
            Whether the model in use is another than before.
        """
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            stamp = _stamp_of(self.folder)
            is_due = bool(self.problem) and time.monotonic() >= self._again
            if stamp == self._stamp and not is_due:
                return False
            before, is_new, self._stamp = self.fingerprint, stamp != self._stamp, stamp
            try:
                self._take(self._detectors.load(self.folder))
            except (PatchCoreDualError, OSError) as error:
                self._cannot_use(error, is_new)
                return False
            self.problem = ""
            return self.fingerprint != before
        finally:
            self._lock.release()

    def of_fingerprint(self, fingerprint: str) -> PatchCoreDual:
        """The detector with a fingerprint: the one in use, or a former version.

        Raises:
            ModelError: where no version has it any more.
        """
        with self._lock:
            for detector in (self.detector, self._former):
                if detector is not None and detector.fingerprint == fingerprint:
                    return detector
            for version in reversed(history(self.folder).versions):
                if version.fingerprint == fingerprint:
                    place = self.folder.with_name(f"{self.folder.name}@{version.number}")
                    self._former = self._detectors.load(place)
                    return self._former
        raise ModelError(
            f"the version of {self.name} that judged this image is no longer there, so that its "
            "map cannot be made again."
        )

    def picture(self, match: Match) -> np.ndarray | None:
        """The patch of a training image, uint8 `[h, w, 3]`; None where it is not at hand."""
        return self._pictures(match)

    def _cannot_use(self, error: Exception, is_new: bool) -> None:
        problem = f"the model on disk cannot be used: {error}"
        if problem != self.problem:
            _log.error("%s goes on as it was: %s", self.name, problem)
        self.problem = problem
        self._pause = _FIRST_PAUSE if is_new else min(2 * self._pause, _LONGEST_PAUSE)
        self._again = time.monotonic() + self._pause

    def _take(self, detector: PatchCoreDual) -> None:
        ledger = history(self.folder)
        number = next(
            (
                ledger.origin(version).number
                for version in reversed(ledger.versions)
                if version.fingerprint == detector.fingerprint
            ),
            None,
        )
        model = detector.model
        if (before := getattr(self, "in_use", None)) is not None:
            before.drift.save()  # where only thresholds have changed, it goes on
        self.in_use = InUse(detector, number, StationDrift(model.drift, self._drift_file))
        self._pictures = TrainingPictures(
            self.folder / FOLDER, self._prepared, model.size, model.spec.stride
        )

    def _prepared(self) -> Path | None:
        """The folder that the model was fitted on; its calibration set is not held for that."""
        path = self.folder / MODEL_FILE
        try:
            calibration = read_model_file(path.read_bytes(), path).calibration
        except (OSError, ModelError):
            return None
        return Path(calibration["prepared"]) if calibration else None

    def _warm_up(self) -> None:
        """Inspect a grey image, so that the first real one need not wait for the compilers."""
        size = self.detector.model.size
        if size is not None:
            self.detector.inspect(np.full((size[1], size[0], 3), 128, np.uint8))


def _stamp_of(folder: Path) -> Stamp | None:
    """What changes when `model.json` is replaced; None where there is none."""
    try:
        found = os.stat(folder / MODEL_FILE)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
