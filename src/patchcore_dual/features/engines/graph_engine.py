"""`GraphEmbedder`: a network as a graph, run by OpenVINO on a CPU, without PyTorch."""

import threading
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np

from patchcore_dual.errors import ModelError
from patchcore_dual.features.embedder import EmbedderSpec
from patchcore_dual.features.graph import Graph, compiled, part_of
from patchcore_dual.utils.dependencies import require

OWN_SIZES = 3  # of images, for each of which a graph is made ready by itself


class GraphEmbedder:
    """Patch features by the graph of a network (thesis 4.3.2, 4.3.3).

    Images go through it one by one, so that none depends on those beside it. Calls from several
    threads wait for each other: the network uses all cores.

    Args:
        spec: what the graph computes.
        graph: takes images of any size.
        network: the tensors that the graph was made of, as a safetensors file.

    Attributes:
        spec, graph, network: as given.
    """

    def __init__(self, spec: EmbedderSpec, graph: Graph, network: bytes) -> None:
        self.spec, self.graph, self.network = spec, graph, network
        self._requests: dict[tuple[int, int] | None, Any] = {}  # by height and width; None: any
        self._resolutions: dict[int, GraphEmbedder] = {}
        self._lock = threading.Lock()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Patch features of a batch.

        Args:
            images: uint8 `[B, H, W, 3]`, RGB.

        Returns:
            float32 `[B, h, w, d]`, with h and w the image's height and width over the stride,
            rounded up.

        Raises:
            ModelError: for a graph that is damaged, or newer than this OpenVINO, or that it cannot
                run on this processor.
        """
        return np.concatenate([self._embed(image[None]) for image in images])

    def _embed(self, image: np.ndarray) -> np.ndarray:
        with self._lock:
            request = self._request_for(image.shape[1:3])
            outputs = request.infer([np.ascontiguousarray(image)], share_inputs=True)
            features = np.array(outputs[0])  # a copy: the next image overwrites it
        if not features.size:
            raise ModelError(
                f"OpenVINO {version('openvino')} gave no features: it cannot run this network on "
                "this processor."
            )
        return features

    def _request_for(self, size: tuple[int, int] | None) -> Any:
        if size not in self._requests and len(self._requests) >= OWN_SIZES:
            size = None
        if size not in self._requests:
            self._requests[size] = compiled(self.graph, size).create_infer_request()
        return self._requests[size]

    def release_memory(self) -> None:
        """Give back what computing takes until the next image."""
        with self._lock:
            for request in self._requests.values():
                request.get_compiled_model().release_memory()

    @property
    def engine(self) -> str:
        """What computes the features, with its version."""
        return f"openvino {version('openvino')}"

    def at_resolution(self, times: int) -> "GraphEmbedder":
        """What one resolution of several adds to the features."""
        every = self.spec.resolutions
        if len(every) == 1:
            return self
        with self._lock:
            if times not in self._resolutions:
                graph = part_of(self.graph, every.index(times), len(every))
                spec = replace(self.spec, resolutions=(times,))
                self._resolutions[times] = GraphEmbedder(spec, graph, self.network)
            return self._resolutions[times]

    def with_spec(self, spec: EmbedderSpec) -> "GraphEmbedder":
        """The same network used in another way, which takes PyTorch.

        Raises:
            MissingDependencyError: without it.
            ModelError: for 8-bit integers, which are made with images.
        """
        if spec == self.spec:
            return self
        if spec.precision != "float32":
            raise ModelError("a network of 8-bit integers is used only in the way it was made for.")
        require("using a network in another way", "torch")
        from patchcore_dual.features.engines.torch_engine import make_graph

        return GraphEmbedder(spec, make_graph(spec, self.network), self.network)

    def __reduce__(self) -> tuple[Callable[..., "GraphEmbedder"], tuple[Any, ...]]:
        return GraphEmbedder, (self.spec, self.graph, self.network)
