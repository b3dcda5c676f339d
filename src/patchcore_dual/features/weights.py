"""Finding and reading backbone weights: a file, the cache or a package; never the network."""

import os
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from patchcore_dual.errors import WeightsError
from patchcore_dual.features.networks import network_definition


def cache_folders() -> list[Path]:
    """Where weights are looked for by name: our own cache, then the one torch downloads to."""
    ours = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "patchcore-dual"
    return [ours, Path(torch.hub.get_dir()) / "checkpoints"]


def find_weights(name: str, path: Path | None) -> Path:
    """The weights file of a backbone: as given, else of an installed package, else in the cache.

    Raises WeightsError that says how to get one.
    """
    if path is not None:
        if not path.is_file():
            raise WeightsError(f"there is no weights file {path}. Check the path after --weights.")
        return path
    definition = network_definition(name)
    if definition.packaged is not None:
        return definition.packaged()
    published = definition.published
    for folder in cache_folders():
        for candidate in (f"{name}.safetensors", f"{name}.pth", published):
            if candidate and (folder / candidate).is_file():
                return folder / candidate
    download = f"https://download.pytorch.org/models/{published}" if published else "its weights"
    raise WeightsError(
        f"no weights for {name} on this machine. On a machine with a network, download {download} "
        f"and either pass the file with --weights FILE or put it into {cache_folders()[0]}. The "
        "backbones efficientnet_lite0 to efficientnet_lite2 need no download."
    )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors by name from `.safetensors`, or from `.pth`/`.pt` without running pickled code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} cannot be read as weights ({reason}).") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path} does not hold a plain state dict (names to tensors).")
    return state


def fit_state(network: nn.Module, state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of `state` that `network` uses; further ones are ignored.

    Raises WeightsError where a used one is absent or has another shape.
    """
    # Batch counters serve training only; files converted from other formats lack them.
    used = {k: v for k, v in network.state_dict().items() if not k.endswith("batches_tracked")}
    missing = [key for key in used if key not in state]
    if missing:
        raise WeightsError(
            f"these weights do not fit {name}: {len(missing)} tensors are absent, the first is "
            f"{missing[0]}. Give the weights of {name}, with torchvision's key names."
        )
    for key, value in used.items():
        if state[key].shape != value.shape:
            raise WeightsError(
                f"these weights do not fit {name}: {key} is {list(state[key].shape)}, "
                f"expected {list(value.shape)}."
            )
    return {key: state[key] for key in used}
