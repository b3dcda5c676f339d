"""`NetworkDefinition`: what the rest of the package knows of a network."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from patchcore_dual.errors import WeightsError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CONFIGURATION = "configuration"  # among the tensors of a network: its dimensions, as bytes of JSON


class Network(Protocol):
    """A network up to its deepest level."""

    channels: dict[int, int]

    def __call__(self, x: Tensor) -> dict[int, Tensor]:
        """`[B, 3, H, W]`, normalised, to a map `[B, channels, H/stride, W/stride]` a level."""
        ...


@dataclass(frozen=True)
class NetworkDefinition:
    """How a network is built, and what its weights expect.

    Attributes:
        name: by which users ask for it.
        build: the untrained network up to a level; where there is a `repository`, after a
            `config.json` too.
        mean, std: of each colour channel in 0 to 1, as the network was trained with.
        strides: image pixels from one cell of the map to the next, for levels 1 to 4.
        published: file name of the published weights, where users have to fetch them.
        repository: where a folder with `config.json` and `model.safetensors` is published instead.
        packaged: path of the weights in an installed package, where there is one.
        names: whose names the tensors of a weights file have.
        kept_in_float: regular expressions of layers whose values 8-bit integers would spoil.
    """

    name: str
    build: Callable[..., nn.Module]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    strides: tuple[int, ...] = (4, 8, 16, 32)
    published: str = ""
    repository: str = ""
    packaged: Callable[[], Path] | None = None
    names: str = "torchvision"
    kept_in_float: tuple[str, ...] = ()

    def build_for(self, state: Mapping[str, Tensor], deepest: int) -> nn.Module:
        """The untrained network up to a level that some tensors are to be loaded into.

        Raises:
            WeightsError: where the configuration among them is not one of this network.
        """
        if not self.repository or CONFIGURATION not in state:
            return self.build(deepest)
        try:
            configuration = json.loads(bytes(state[CONFIGURATION].tolist()))
        except ValueError:
            raise WeightsError(f"the configuration of {self.name} is not JSON.") from None
        return self.build(deepest, configuration)


def configuration_tensor(configuration: Mapping[str, Any]) -> Tensor:
    """A configuration as it is kept among the tensors of its network, uint8 `[n]`.

    >>> bytes(configuration_tensor({"hidden_size": 384}).tolist())
    b'{"hidden_size": 384}'
    """
    return torch.tensor(list(json.dumps(configuration).encode()), dtype=torch.uint8)
