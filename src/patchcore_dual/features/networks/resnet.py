"""ResNet up to the deepest level that is asked for, with torchvision's key names.

He et al., "Deep residual learning for image recognition", 2016; the wide variant is Zagoruyko and
Komodakis, 2016. As in torchvision, a bottleneck carries its stride in the 3×3 convolution.
"""

from functools import partial

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from patchcore_dual.features.networks.definition import NetworkDefinition


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int, base_width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = _shortcut(inputs, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int, base_width: int) -> None:
        super().__init__()
        width = planes * base_width // 64
        outputs = planes * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        return relu(self.bn3(self.conv3(y)) + self.downsample(x))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """The stem and `layer1` … `layer{deepest}`; layer k has stride 2^(k+1)."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, ...],
        deepest: int,
        base_width: int = 64,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        self.channels: dict[int, int] = {}
        for level, depth in enumerate(depths[:deepest], start=1):
            planes = 64 * 2 ** (level - 1)
            blocks: list[nn.Module] = []
            for index in range(depth):
                stride = 2 if index == 0 and level > 1 else 1
                blocks.append(block(inputs, planes, stride, base_width))
                inputs = planes * block.expansion
            setattr(self, f"layer{level}", nn.Sequential(*blocks))
            self.channels[level] = inputs

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """`[B, 3, H, W]`, normalised, to one map `[B, channels, H/stride, W/stride]` a level."""
        x = relu(self.bn1(self.conv1(x)))
        x = max_pool2d(x, 3, stride=2, padding=1)
        maps = {}
        for level in self.channels:
            x = getattr(self, f"layer{level}")(x)
            maps[level] = x
        return maps


_RESNETS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...], int]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2), 64),
    "resnet34": (BasicBlock, (3, 4, 6, 3), 64),
    "resnet50": (Bottleneck, (3, 4, 6, 3), 64),
    "wide_resnet50_2": (Bottleneck, (3, 4, 6, 3), 128),
}

# ImageNet V1 weights, as torchvision publishes them.
_PUBLISHED = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "wide_resnet50_2": "wide_resnet50_2-95faca4d.pth",
}


def build_resnet(name: str, deepest: int) -> ResNet:
    """An untrained `resnet18`, `resnet34`, `resnet50` or `wide_resnet50_2` up to a level."""
    block, depths, base_width = _RESNETS[name]
    return ResNet(block, depths, deepest, base_width)


NETWORKS = {
    name: NetworkDefinition(
        name, partial(build_resnet, name), published=file, kept_in_float=(r".*network\.conv1/.*",)
    )
    for name, file in _PUBLISHED.items()
}
