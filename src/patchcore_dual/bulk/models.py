"""`Models`: the detectors that a worker holds, as many as its memory allows."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ModelError, SettingsError
from patchcore_dual.station.serving.detectors import Detectors
from patchcore_dual.utils.memory import Memory, resident


class Models:
    """Gives detectors by their fingerprints; each network is once in memory.

    Args:
        folders: of the models, by fingerprint.
        memory: of the whole process. Where it is short, models that were not used for longest go.
    """

    def __init__(self, folders: Mapping[str, Path], memory: Memory) -> None:
        self._folders, self._memory = folders, memory
        self._detectors = Detectors()
        self._held: OrderedDict[str, PatchCoreDual] = OrderedDict()  # used last comes last
        self._largest = 0  # bytes that a model took so far

    def __getitem__(self, fingerprint: str) -> PatchCoreDual:
        """The detector with a fingerprint.

        Raises:
            ModelError: it cannot be read here, or its folder now holds another.
            SettingsError: the memory does not suffice for it alone.
        """
        if fingerprint not in self._held:
            folder = self._folders[fingerprint]
            while self._held and not self._memory.fits(self._largest):
                self._held.popitem(last=False)
            before = resident()
            detector = self._detectors.load(folder)
            if detector.fingerprint != fingerprint:
                raise ModelError(
                    f"{folder} is {detector.fingerprint} now, and was {fingerprint} when the run "
                    "began: it was changed, or is another on this node. Name the version that it "
                    "was begun with, as MODEL@3, or give another --results."
                )
            self._held[fingerprint] = detector
            self._largest = max(self._largest, resident() - before)
            while len(self._held) > 1 and not self._memory.fits():
                self._held.popitem(last=False)
            if not self._memory.fits():
                raise SettingsError(
                    f"--memory is too little for {folder}: with it alone, a worker takes "
                    f"{resident() / 2**20:.0f} MiB, and 256 MiB besides for an image."
                )
        self._held.move_to_end(fingerprint)
        return self._held[fingerprint]

    def __len__(self) -> int:
        return len(self._held)
