"""Engines: what runs a network. Importing this loads none of them."""

from collections.abc import Sequence
from pathlib import Path

from patchcore_dual.errors import ModelError
from patchcore_dual.features.embedder import Embedder, EmbedderSpec
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
    """The embedder of a network, for fitting; see `torch_engine.load_torch_embedder`.

    Raises:
        MissingDependencyError: without PyTorch.
    """
    require("running a network", "torch")
    from patchcore_dual.features.engines.torch_engine import load_torch_embedder

    return load_torch_embedder(
        backbone,
        levels,
        defect_levels=defect_levels,
        resolutions=resolutions,
        count_padding=count_padding,
        weights=weights,
        device=device,
    )


def restore_embedder(
    spec: EmbedderSpec,
    network: bytes | None,
    device: str = "auto",
    own: Embedder | None = None,
) -> Embedder:
    """The embedder of a fitted model, from its spec and the network that it carries.

    Args:
        own: the user's own embedder, for a model that was fitted with one.

    Raises:
        MissingDependencyError: without PyTorch, unless the embedder is the user's own.
        ModelError: where spec, network and embedder do not fit together.
    """
    if own is not None:
        if own.spec != spec:
            raise ModelError(f"the model was fitted with another embedder: {spec}.")
        return own
    if network is None:
        raise ModelError(
            f"the model was fitted with an embedder of your own: give it too ({spec})."
        )
    require("running a network", "torch")
    from patchcore_dual.features.engines.torch_engine import restore_torch_embedder

    return restore_torch_embedder(spec, network, device)
