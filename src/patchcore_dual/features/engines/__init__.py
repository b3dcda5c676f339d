"""Engines: what runs a network. Importing this loads none of them."""

from collections.abc import Sequence
from pathlib import Path

from patchcore_dual.features.embedder import Embedder, EmbedderSpec
from patchcore_dual.utils.dependencies import require


def load_embedder(
    backbone: str,
    levels: Sequence[int] = (2, 3),
    *,
    defect_levels: Sequence[int] | None = None,
    count_padding: bool = True,
    weights: Path | None = None,
    device: str = "auto",
) -> Embedder:
    """The embedder of a network, for fitting; see `torch_engine.load_torch_embedder`.

    Raises:
        MissingDependencyError: without PyTorch.
    """
    require("torch")
    from patchcore_dual.features.engines.torch_engine import load_torch_embedder

    return load_torch_embedder(
        backbone,
        levels,
        defect_levels=defect_levels,
        count_padding=count_padding,
        weights=weights,
        device=device,
    )


def restore_embedder(spec: EmbedderSpec, network: bytes, device: str = "auto") -> Embedder:
    """The embedder of a fitted model, from its spec and the network that it carries.

    Raises:
        MissingDependencyError: without PyTorch.
        ModelError: where spec and network do not fit together.
    """
    require("torch")
    from patchcore_dual.features.engines.torch_engine import restore_torch_embedder

    return restore_torch_embedder(spec, network, device)
