"""Engines: what runs a network. Importing this loads none of them."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from patchcore_dual.errors import ModelError, SettingsError
from patchcore_dual.features.embedder import Embedder, EmbedderSpec, graph_of, network_of, unwrapped
from patchcore_dual.features.engines.device import choose_device
from patchcore_dual.features.graph import Graph
from patchcore_dual.utils.dependencies import require


def load_embedder(
    backbone: str,
    levels: Sequence[int] = (2, 3),
    *,
    defect_levels: Sequence[int] | None = None,
    resolutions: Sequence[int] = (1,),
    count_padding: bool = True,
    weights: Path | None = None,
    device: str = "auto",
) -> Embedder:
    """The network of that name with its weights, ready to embed, for fitting.

    On a CPU it runs as the graph that a model keeps.

    Args:
        backbone: a name in `BACKBONES`.
        levels: of the normal bank; the first one's grid is that of the features.
        defect_levels: of the defect bank; None for the same.
        resolutions: see `EmbedderSpec`.
        count_padding: see `EmbedderSpec`.
        weights: their file, or a folder for some networks; None looks in the cache and in packages.
        device: "auto", "cpu" or "cuda".

    Raises:
        SettingsError: for a name, level or device that does not exist.
        WeightsError: where the weights are missing or do not fit.
        MissingDependencyError: without PyTorch, which makes the graph.
    """
    require("building a network", "torch")
    from patchcore_dual.features.engines.torch_engine import load_torch_embedder

    target = choose_device(device)
    embedder = load_torch_embedder(
        backbone,
        levels,
        defect_levels=defect_levels,
        resolutions=resolutions,
        count_padding=count_padding,
        weights=weights,
        device=target,
    )
    return embedder if target == "cuda" else on_cpu(embedder)


def restore_embedder(
    spec: EmbedderSpec,
    network: bytes | None,
    graph: Graph | None = None,
    device: str = "auto",
    own: Embedder | None = None,
) -> Embedder:
    """The embedder of a fitted model, from its spec and the network that it carries.

    Args:
        network: the network's tensors; None where there are none.
        graph: None for a model of a version that kept none.
        own: the user's own embedder, for a model that was fitted with one.

    Raises:
        SettingsError: for a device that does not exist, or that cannot run the network.
        MissingDependencyError: for device "cuda" without PyTorch.
        ModelError: where spec, network and embedder do not fit together, or where a graph is
            missing and cannot be made here.
    """
    if own is not None:
        if own.spec != spec:
            raise ModelError(f"the model was fitted with another embedder: {spec}.")
        return own
    if network is None:
        raise ModelError(
            f"the model was fitted with an embedder of your own: give it too ({spec})."
        )
    if spec.precision != "float32":
        if device == "cuda":
            raise SettingsError("device cuda: a network of 8-bit integers runs on a CPU only.")
        device = "cpu" if device == "auto" else device  # without a look for GPUs
    target = choose_device(device)
    if target == "cuda":
        from patchcore_dual.features.engines.torch_engine import restore_torch_embedder

        return restore_torch_embedder(spec, network, target)
    from patchcore_dual.features.engines.graph_engine import GraphEmbedder

    if graph is None:
        if find_spec("torch") is None:
            raise ModelError(
                "the model is of an older version, which needs PyTorch. Bring it up to date where "
                "'patchcore-dual[train]' is installed: patchcore-dual migrate MODEL"
            )
        from patchcore_dual.features.engines.torch_engine import make_graph

        graph = make_graph(spec, network)
    return GraphEmbedder(spec, graph, network)


def on_cpu(embedder: Embedder) -> Embedder:
    """The embedder that computes on a CPU what this one does on a GPU; itself where it is none."""
    network, graph = network_of(embedder), graph_of(embedder)
    if network is None or graph is None:
        return embedder
    from patchcore_dual.features.engines.graph_engine import GraphEmbedder

    is_there = isinstance(unwrapped(embedder), GraphEmbedder)
    return embedder if is_there else GraphEmbedder(embedder.spec, graph, network)
