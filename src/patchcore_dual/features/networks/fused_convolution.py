"""A convolution and all that follows it, as one pass over memory where that is possible.

Frozen batch norms fold into the convolution before them. On a processor oneDNN then adds the
shortcut and clips while the result is still in cache, and keeps the weights in the layout that its
kernels read, which PyTorch would otherwise make again for every image. Which layout is fast depends
on the size of the image, and that of another size is ten times slower: a few sizes have their own,
further ones the plain layout. Apart from the order of rounding the numbers are the same. Elsewhere
the plain operations run.
"""

from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Activation = Literal["none", "relu", "relu6"]

LAYOUTS = 8  # sizes of which weights are kept in oneDNN's layout

# What oneDNN calls them, and their constants.
_ONEDNN: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}


def convolve(
    conv: nn.Module,
    norm: nn.Module,
    x: Tensor,
    activation: Activation = "none",
    plus: Tensor | None = None,
) -> Tensor:
    """activation(norm(conv(x)) + plus); `norm` is the identity where it has been folded."""
    if isinstance(conv, FusedConvolution):
        fused: Tensor = conv(x, activation, plus)
        return fused
    y: Tensor = norm(conv(x))
    if plus is not None:
        y = y.add_(plus)
    return y.clamp_(0, 6) if activation == "relu6" else y.relu_() if activation == "relu" else y


class FusedConvolution(nn.Module):
    """A frozen `nn.Conv2d` with bias that adds and clips in the same pass, by oneDNN."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self._where = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        # By the name that a plain one has: networks of `transformers` read its type.
        self.weight = conv.weight.detach().contiguous()
        self._layouts: dict[tuple[int, ...], Tensor] = {}  # by the height and width of the input
        self._bias = None if conv.bias is None else conv.bias.detach()

    def forward(
        self, x: Tensor, activation: Activation = "none", plus: Tensor | None = None
    ) -> Tensor:
        """`[B, C, H, W]`, best in channels_last, which the result is too."""
        name, constants = _ONEDNN[activation]
        convolution = torch.ops.mkldnn._convolution_pointwise
        size = tuple(x.shape[-2:])
        if size not in self._layouts and len(self._layouts) < LAYOUTS:
            self._layouts[size] = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, *self._where, list(x.shape)
            )
        weights = (self._layouts.get(size, self.weight), self._bias, *self._where)
        if plus is None:
            return convolution(x, *weights, name, constants, None)
        # After an addition, oneDNN fuses no activation but ReLU.
        after = "relu" if activation == "relu" else None
        y: Tensor = convolution.binary(x, plus, *weights, "add", 1.0, after, [], None)
        return y.clamp_(0, 6) if activation == "relu6" else y


def fuse(network: nn.Module, device: torch.device) -> nn.Module:
    """The frozen network on its device, batch norms folded, convolutions fused if they can be."""
    _fold_batch_norms(network)
    if device.type == "cpu" and can_fuse():
        _replace_convolutions(network)
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@cache
def can_fuse() -> bool:
    """Whether this build of PyTorch has oneDNN's fused convolution, tried on a small one.

    The operations are those that torch.compile calls; their names are not promised to stay.
    """
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        conv = nn.Conv2d(8, 8, 3, 2, padding=1)
        x = torch.linspace(-1, 1, 8 * 49).reshape(1, 8, 7, 7)
        plain = conv(x)
        try:
            fused = FusedConvolution(conv)
            both = fused(x, "relu6"), fused(x, "relu", plain)
        except (AttributeError, RuntimeError, TypeError):
            return False
        expected = plain.clamp(0, 6), (2 * plain).relu()
        return all(torch.allclose(a, b, atol=1e-5) for a, b in zip(both, expected, strict=True))


def _fold_batch_norms(network: nn.Module) -> None:
    """Fold every batch norm into the convolution that stands right before it."""
    for module in network.modules():
        previous: tuple[str, nn.Conv2d] | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and previous is not None:
                conv_name, conv = previous
                setattr(module, conv_name, fuse_conv_bn_eval(conv, child))
                setattr(module, name, nn.Identity())
            previous = (name, child) if isinstance(child, nn.Conv2d) else None


def _replace_convolutions(network: nn.Module) -> None:
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(module, name, FusedConvolution(child))
