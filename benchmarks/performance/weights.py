"""Random weights with torchvision's key names, for networks whose speed is all that is asked."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from patchcore_dual.features.networks.resnet import build_resnet


def random_weights(name: str, path: Path, seed: int = 0) -> Path:
    """Write `name` to layer3, initialised from `seed`, as safetensors."""
    torch.manual_seed(seed)
    state = build_resnet(name, 3).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path
