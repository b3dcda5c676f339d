"""`Models`: the detectors that a worker holds, as many as its memory allows."""

import gc
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ModelError, SettingsError
from patchcore_dual.station.serving.detectors import Detectors
from patchcore_dual.utils.memory import Memory, resident


class Models:
    """Gives detectors by their folders; each network is once in memory.

    Args:
        fingerprints: that the models have to have, by folder.
        memory: of the whole process. Where it is short, models that were not used for longest go.
    """

    def __init__(self, fingerprints: Mapping[str, str], memory: Memory) -> None:
        self._fingerprints, self._memory = fingerprints, memory
        self._detectors = Detectors()
        self._held: OrderedDict[str, PatchCoreDual] = OrderedDict()  # used last comes last
        self._largest = 0  # bytes that a model took so far

    def __getitem__(self, folder: str) -> PatchCoreDual:
        """The detector of a folder.

        Raises:
            ModelError: it cannot be read here, or is not the one that the run was begun with.
            SettingsError: the memory does not suffice for it alone.
        """
        if folder not in self._held:
            while self._held and not self._memory.fits(self._largest):
                self._drop_oldest()
            before = resident()
            detector = self._detectors.load(Path(folder))
            if detector.fingerprint != self._fingerprints[folder]:
                raise ModelError(
                    f"{folder} has changed: it is {detector.fingerprint}, and the run was begun "
                    f"with {self._fingerprints[folder]}. Name the version that it was begun with, "
                    "as MODEL@3, or give another --results."
                )
            self._held[folder] = detector
            self._largest = max(self._largest, resident() - before)
            while len(self._held) > 1 and not self._memory.fits():
                self._drop_oldest()
            if not self._memory.fits():
                raise SettingsError(
                    f"--memory is too little for {folder}: with it alone, a worker takes "
                    f"{resident() / 2**20:.0f} MiB, and 256 MiB besides for an image."
                )
        self._held.move_to_end(folder)
        return self._held[folder]

    def __len__(self) -> int:
        return len(self._held)

    def _drop_oldest(self) -> None:
        self._held.popitem(last=False)
        gc.collect()
