"""Loading detectors for a station: without PyTorch, and each network once in memory."""

import os
import threading
from dataclasses import replace
from pathlib import Path
from weakref import WeakSet

from patchcore_dual.banks.backend.compute import VARIABLE
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ModelError
from patchcore_dual.features import graph_of
from patchcore_dual.features.embedder import Embedder
from patchcore_dual.model.schema import MODEL_FILE, read_model_file


def compute_without_torch() -> None:
    """Let this process, and those it starts, search by NumPy. Before the first model is loaded."""
    os.environ[VARIABLE] = "numpy"


class Detectors:
    """Loads detectors, and shares the network among those that have the same one."""

    def __init__(self) -> None:
        self._embedders: WeakSet[Embedder] = WeakSet()
        self._lock = threading.Lock()

    def load(self, folder: Path) -> PatchCoreDual:
        """The detector of a model folder, or of a version as `model@3`.

        Raises:
            ModelError: as `PatchCoreDual.load`; and for a model whose network is not there as a
                graph, or was the user's own.
        """
        _check_has_graph(folder)
        detector = PatchCoreDual.load(folder, device="cpu")
        graph = graph_of(detector.embedder)
        with self._lock:
            for known in self._embedders:
                if known.spec == detector.embedder.spec and graph_of(known) == graph:
                    detector.embedder = known
                    # Inspecting needs no second copy of the network's tensors, which are the
                    # larger part of most models. Edits are made on detectors of their own.
                    detector._model = replace(detector.model, network=None, graph=graph_of(known))
                    return detector
            self._embedders.add(detector.embedder)
        return detector


def _check_has_graph(folder: Path) -> None:
    path = folder / MODEL_FILE
    if path.is_file() and "graph" not in read_model_file(path.read_bytes(), path).files:
        raise ModelError(
            f"{folder} was fitted by an older version, or with an embedder of your own, and holds "
            "no network that the station can run. Bring it up to date where "
            "'patchcore-dual[train]' is installed: patchcore-dual migrate MODEL"
        )
