"""One fused pass against the plain operations it stands for."""

import numpy as np
import pytest
import torch
from torch import nn

from patchcore_dual.features import BACKBONES, EmbedderSpec
from patchcore_dual.features.engines.torch_engine import TorchEmbedder
from patchcore_dual.features.networks import fused_convolution as convolution
from patchcore_dual.features.networks import network_definition
from patchcore_dual.features.networks.fused_convolution import (
    FusedConvolution,
    can_fuse,
    convolve,
    fuse,
)

needs_fusion = pytest.mark.skipif(not can_fuse(), reason="this PyTorch has no fused convolution")
CPU = torch.device("cpu")


def frozen(*args, **kwargs):
    torch.manual_seed(0)
    conv = nn.Conv2d(*args, **kwargs).requires_grad_(False)
    norm = nn.BatchNorm2d(conv.out_channels).requires_grad_(False).eval()
    for tensor in (norm.running_mean, norm.weight, norm.bias):
        tensor.normal_()
    norm.running_var.uniform_(0.5, 2)
    return conv, norm


@needs_fusion
@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "groups", "bias"),
    [(1, 1, 1, False), (3, 1, 1, True), (3, 2, 1, False), (5, 2, 24, False), (5, 1, 24, False)],
)
def test_fused_is_plain(activation, adds, kernel, stride, groups, bias):
    conv, norm = frozen(24, 24, kernel, stride, padding=kernel // 2, groups=groups, bias=bias)
    network = nn.Sequential(conv, norm).eval()
    x = 3 * torch.randn(2, 24, 13, 10).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = norm(conv(x))
        shortcut = torch.randn_like(expected) if adds else None
        if adds:
            expected = expected + shortcut
        if activation != "none":
            expected = expected.clamp(0, 6 if activation == "relu6" else None)
        before = (x.clone(), None if shortcut is None else shortcut.clone())
        assert torch.equal(convolve(conv, norm, x, activation, shortcut), expected)
        fuse(network, CPU)
        assert isinstance(network[0], FusedConvolution)
        assert isinstance(network[1], nn.Identity)
        fused = convolve(*network, x, activation, shortcut)
    assert torch.allclose(fused, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(x, before[0])
    assert shortcut is None or torch.equal(shortcut, before[1])


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnet_lite0"])
def test_backbones_without_fused_convolutions(name, monkeypatch):
    """What runs on a GPU, and on builds of PyTorch that lack oneDNN or renamed its operations."""
    torch.manual_seed(0)
    state = network_definition(name).build(3).state_dict()
    spec = EmbedderSpec(name, (2, 3), (0, 0), stride=8)
    images = np.random.default_rng(0).integers(0, 256, (2, 65, 52, 3), dtype=np.uint8)
    usual = TorchEmbedder(spec, state, CPU)(images)
    monkeypatch.setattr(convolution, "can_fuse", lambda: False)
    plain = TorchEmbedder(spec, state, CPU)
    assert not any(isinstance(m, FusedConvolution) for m in plain._network.modules())
    assert np.abs(plain(images) - usual).max() <= 1e-5 * np.abs(usual).max()


def test_operations_that_are_gone_are_not_used(monkeypatch):
    def missing(conv):
        raise AttributeError("no such operation")

    monkeypatch.setattr(convolution, "FusedConvolution", missing)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    assert not can_fuse.__wrapped__()
    assert torch.rand(1) == expected


def test_every_network_is_fused_whole():
    for name in BACKBONES:
        deepest = 1 if name.startswith("dino") else 4  # whose convolution is the first layer alone
        network = fuse(network_definition(name).build(deepest).eval().requires_grad_(False), CPU)
        kinds = {type(m) for m in network.modules()}
        assert nn.BatchNorm2d not in kinds
        assert not can_fuse() or nn.Conv2d not in kinds
