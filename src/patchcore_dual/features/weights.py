"""Finding and reading backbone weights: a file, the cache or a package; never the network."""

import hashlib
import json
import os
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from patchcore_dual.errors import WeightsError
from patchcore_dual.features.networks import network_definition
from patchcore_dual.features.networks.definition import CONFIGURATION, configuration_tensor
from patchcore_dual.utils.files import file_sha256

# What a folder of weights holds, as it is published at huggingface.co.
CONFIG_FILE, TENSORS_FILE = "config.json", "model.safetensors"


def cache_folders() -> list[Path]:
    """Where weights are looked for by name: our own cache, then the one torch downloads to."""
    ours = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "patchcore-dual"
    return [ours, Path(torch.hub.get_dir()) / "checkpoints"]


def find_weights(name: str, path: Path | None) -> Path:
    """The weights of a backbone: as given, else of an installed package, else in the cache.

    Returns:
        A file; or, for a network with a `repository`, a folder with `config.json` and
        `model.safetensors`.

    Raises:
        WeightsError: where there are none, saying how to get them.
    """
    definition = network_definition(name)
    if path is not None:
        if not path.is_file() and not (definition.repository and path.is_dir()):
            raise WeightsError(f"there is no weights file {path}. Check the path after --weights.")
        return path
    if definition.packaged is not None:
        return definition.packaged()
    published = definition.published
    for folder in cache_folders():
        if definition.repository and (folder / name).is_dir():
            return folder / name
        for candidate in (f"{name}.safetensors", f"{name}.pth", published):
            if candidate and (folder / candidate).is_file():
                return folder / candidate
    cache, repository = cache_folders()[0], definition.repository
    if repository:
        download = f"{CONFIG_FILE} and {TENSORS_FILE} of {repository} into a folder"
        use = f"pass it with --weights FOLDER or put it into {cache} as {name}"
    else:
        download = f"https://download.pytorch.org/models/{published}"
        use = f"pass the file with --weights FILE or put it into {cache}"
    raise WeightsError(
        f"no weights for {name} on this machine. On a machine with a network, download {download} "
        f"and either {use}. The backbones efficientnet_lite0, _lite1 and _lite2 need no download."
    )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors by name from `.safetensors`, or from `.pth`/`.pt` without running pickled code.

    Of a folder, those of `model.safetensors` and its `config.json` as one of them.

    Raises:
        WeightsError: for what cannot be read.
    """
    if path.is_dir():
        return {**read_state_dict(path / TENSORS_FILE), CONFIGURATION: _read_configuration(path)}
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


def _read_configuration(folder: Path) -> Tensor:
    path = folder / CONFIG_FILE
    try:
        configuration = json.loads(path.read_bytes())
        if not isinstance(configuration, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as a configuration ({error}).") from None
    return configuration_tensor(configuration)


def weights_sha256(path: Path) -> str:
    """Hex digest of a weights file; of a folder, that of the digests of what is read of it."""
    if path.is_dir():
        digests = (file_sha256(path / name) for name in (CONFIG_FILE, TENSORS_FILE))
        return hashlib.sha256("".join(digests).encode()).hexdigest()
    return file_sha256(path)


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
            f"{missing[0]}. Give the weights of {name}, with the key names of "
            f"{network_definition(name).names}."
        )
    for key, value in used.items():
        if state[key].shape != value.shape:
            raise WeightsError(
                f"these weights do not fit {name}: {key} is {list(state[key].shape)}, "
                f"expected {list(value.shape)}."
            )
    return {key: state[key] for key in used}
