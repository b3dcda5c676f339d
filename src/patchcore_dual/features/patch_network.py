"""`PatchNetwork`: a network and all that makes patch features of its maps, as one module."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from patchcore_dual.features.aggregation import patch_features
from patchcore_dual.features.embedder import EmbedderSpec
from patchcore_dual.features.networks import network_definition


class PatchNetwork(nn.Module):
    """From images to patch features (thesis 4.3.2, 4.3.3): what an engine runs.

    Nothing in it depends on the size of an image but through its shape, so that one graph of it
    serves all sizes.

    Args:
        spec: which levels of the network are used, at which resolutions, and how borders count.
        network: gives a map for each level.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, spec: EmbedderSpec, network: nn.Module) -> None:
        super().__init__()
        definition = network_definition(spec.backbone)
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (definition.mean, definition.std))
        self.spec, self.network, self.strides = spec, network, definition.strides
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 `[B, H, W, 3]`, RGB, to float32 `[B, h, w, d]`: H and W over the stride, up."""
        rows, columns = _cells(images.shape[1:3], self.spec.stride)
        pixels = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        grids = [self._features_at(times, pixels) for times in self.spec.resolutions]
        return torch.cat([grid[:, :rows, :columns] for grid in grids], dim=-1)

    def _features_at(self, times: int, pixels: Tensor) -> Tensor:
        """Features `[B, h, w, d]` of images so many times smaller, on a grid of `spec.stride`.

        Args:
            pixels: `[B, 3, H, W]`, normalised.
        """
        spec = self.spec
        coarsest = self.strides[spec.levels[-1] - 1]
        if times > 1:
            pixels = functional.avg_pool2d(_padded(pixels, times), times)
        if spec.pad_to_cells:
            pixels = _padded(pixels, max(coarsest, spec.stride))
        maps = self.network(pixels)
        grid = _cells((times * side for side in pixels.shape[-2:]), spec.stride)
        used = [maps[level] for level in spec.levels]
        return patch_features(used, grid, spec.count_padding)


def _cells(sides: Iterable[int], stride: int) -> tuple[int, int]:
    """How many cells cover the two sides of an image; no number below zero is divided.

    A graph would round such a quotient towards zero.
    """
    height, width = ((side + stride - 1) // stride for side in sides)
    return height, width


def _padded(pixels: Tensor, multiple: int) -> Tensor:
    """Images `[B, C, H, W]`, their last rows and columns repeated up to a multiple."""
    below, beside = (-side % multiple for side in pixels.shape[-2:])
    return functional.pad(pixels, (0, beside, 0, below), mode="replicate")
