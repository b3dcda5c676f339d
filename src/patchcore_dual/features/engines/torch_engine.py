"""PyTorch: what runs a network on a CUDA GPU, and what the graph for a CPU is made of."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from patchcore_dual.errors import ModelError, SettingsError, WeightsError
from patchcore_dual.features.embedder import EmbedderSpec
from patchcore_dual.features.engines.device import Device
from patchcore_dual.features.graph import Graph, compiled, converted
from patchcore_dual.features.networks import network_definition
from patchcore_dual.features.patch_network import PatchNetwork
from patchcore_dual.features.weights import (
    find_weights,
    fit_state,
    read_state_dict,
    weights_sha256,
)

GRAPH_TOLERANCE = 1e-4  # of a graph's features from the network's, as a share of the largest


class TorchEmbedder:
    """Patch features of a frozen network (thesis 4.3.2, 4.3.3).

    Args:
        spec: which network, which levels, and how borders are counted.
        state: the network's tensors, named as in its weights file; further ones are ignored.
        device: where it runs.

    Attributes:
        spec: as given.
        device: as given.
        state: the tensors in use.

    Raises:
        WeightsError: where a tensor is missing or has another shape.
    """

    def __init__(
        self, spec: EmbedderSpec, state: dict[str, Tensor], device: Device = "cpu"
    ) -> None:
        network = network_definition(spec.backbone).build_for(state, spec.levels[-1])
        self.spec, self.device = spec, device
        self.state = fit_state(network, state, spec.backbone)
        network.load_state_dict(self.state, strict=False)  # all but the batch counters
        network.eval().requires_grad_(False)
        self._module = _placed(PatchNetwork(spec, network), device)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Patch features of a batch; see `GraphEmbedder`."""
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            # A view, as of cv2's BGR the other way round, has to be laid out anew.
            on_device = torch.tensor(np.ascontiguousarray(images), device=self.device)
            return self._module(on_device).contiguous().cpu().numpy()

    @property
    def engine(self) -> str:
        """What computes the features, with its version."""
        return f"torch {version('torch')} {self.device}"

    @property
    def network(self) -> bytes:
        """The network's tensors as a safetensors file: what a model keeps of it."""
        return save_tensors({name: t.contiguous().cpu() for name, t in self.state.items()})

    @property
    def graph(self) -> Graph:
        """The graph that runs on a CPU."""
        return make_graph(self.spec, self.network)

    def with_spec(self, spec: EmbedderSpec) -> Self:
        """The same network, not copied, used in another way."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.spec = spec
        other._module = _placed(PatchNetwork(spec, self._module.network), self.device)
        return other

    def at_resolution(self, times: int) -> Self:
        """What one resolution of several adds to the features."""
        return self.with_spec(replace(self.spec, resolutions=(times,)))

    def __reduce__(self) -> tuple[Callable[..., "TorchEmbedder"], tuple[Any, ...]]:
        """Pickled and copied as what a model keeps."""
        return _unpickle, (self.spec, self.network, self.device)


def load_torch_embedder(
    backbone: str,
    levels: Sequence[int] = (2, 3),
    *,
    defect_levels: Sequence[int] | None = None,
    resolutions: Sequence[int] = (1,),
    count_padding: bool = True,
    weights: Path | None = None,
    device: Device = "cpu",
) -> TorchEmbedder:
    """The network of that name with its weights; see `load_embedder`."""
    definition = network_definition(backbone)
    for some in (levels, levels if defect_levels is None else defect_levels):
        check_levels(some)
    path = find_weights(backbone, weights)
    state = read_state_dict(path)
    every = tuple(sorted({*levels, *(defect_levels or ())}))
    with torch.device("meta"):
        network = definition.build_for(state, every[-1])
    channels: dict[int, int] = network.channels  # type: ignore[assignment]
    spec = EmbedderSpec(
        backbone,
        every,
        tuple(channels[level] for level in every),
        stride=definition.strides[levels[0] - 1],
        count_padding=count_padding,
        weights_sha256=weights_sha256(path),
        pad_to_cells=True,
    ).with_resolutions(tuple(resolutions))
    return TorchEmbedder(spec, state, device)


def restore_torch_embedder(
    spec: EmbedderSpec, network: bytes, device: Device = "cpu"
) -> TorchEmbedder:
    """The embedder of a model, from its spec and the network's tensors.

    Raises:
        ModelError: where they do not fit together.
    """
    try:
        check_levels(spec.levels)
        return TorchEmbedder(spec, load_tensors(network), device)
    except (SettingsError, WeightsError) as error:
        raise ModelError(f"the model's network is damaged: {error} Fit again.") from None


@lru_cache(maxsize=8)
def make_graph(spec: EmbedderSpec, network: bytes) -> Graph:
    """The graph of a network, checked against it.

    Raises:
        ModelError: where tensors and spec do not fit together, or the graph computes otherwise.
    """
    embedder = restore_torch_embedder(spec, network)
    graph = converted(embedder._module)
    images = np.random.default_rng(0).integers(0, 256, (1, 97, 130, 3), dtype=np.uint8)
    found = compiled(graph, images.shape[1:3])(images)[0]
    expected = embedder(images)
    if np.abs(found - expected).max() > GRAPH_TOLERANCE * np.abs(expected).max():
        raise ModelError(
            f"the graph of {spec.backbone} computes other features than PyTorch "
            f"({version('torch')}) by OpenVINO {version('openvino')}. Try other versions."
        )
    return graph


def _placed(module: PatchNetwork, device: Device) -> Any:
    return module.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _unpickle(spec: EmbedderSpec, network: bytes, device: Device) -> TorchEmbedder:
    """On the same kind of device; on the CPU where a process or machine has no GPU."""
    there = device if device == "cpu" or torch.cuda.is_available() else "cpu"
    return restore_torch_embedder(spec, network, there)


def check_levels(levels: Sequence[int]) -> None:
    """Raise SettingsError unless levels are increasing numbers of 1 to 4."""
    if not levels or list(levels) != sorted(set(levels)) or not set(levels) <= {1, 2, 3, 4}:
        raise SettingsError(f"levels {list(levels)}: give increasing numbers of 1 to 4, as 2,3.")
