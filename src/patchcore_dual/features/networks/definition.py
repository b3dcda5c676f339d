"""`NetworkDefinition`: what the rest of the package knows of a network."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Network(Protocol):
    """A network up to its deepest level; level k has stride 2^(k+1)."""

    channels: dict[int, int]

    def __call__(self, x: Tensor) -> dict[int, Tensor]:
        """`[B, 3, H, W]`, normalised, to a map `[B, channels, H/stride, W/stride]` a level."""
        ...


@dataclass(frozen=True)
class NetworkDefinition:
    """How a network is built, and what its weights expect.

    Attributes:
        name: by which users ask for it.
        build: the untrained network up to a level.
        mean, std: of each colour channel in 0 to 1, as the network was trained with.
        published: file name of the published weights, where users have to fetch them.
        packaged: path of the weights in an installed package, where there is one.
    """

    name: str
    build: Callable[[int], nn.Module]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    published: str = ""
    packaged: Callable[[], Path] | None = None
