"""`TorchEmbedder`: a frozen network run by PyTorch, on a CPU or a CUDA GPU."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor
from torch.nn import functional

from patchcore_dual.errors import ModelError, SettingsError, WeightsError
from patchcore_dual.features.aggregation import patch_features
from patchcore_dual.features.embedder import EmbedderSpec
from patchcore_dual.features.networks import network_definition
from patchcore_dual.features.networks.fused_convolution import fuse
from patchcore_dual.features.weights import (
    find_weights,
    fit_state,
    read_state_dict,
    weights_sha256,
)


class TorchEmbedder:
    """Patch features of a frozen network (thesis 4.3.2, 4.3.3).

    Args:
        spec: which network, which levels, and how borders are counted.
        state: the network's tensors, named as in its weights file; further ones are ignored.
        device: where it runs.

    Attributes:
        spec: as given.
        device: as given.
        state: the tensors in use.

    Raises:
        WeightsError: where a tensor is missing or has another shape.
    """

    def __init__(self, spec: EmbedderSpec, state: dict[str, Tensor], device: torch.device) -> None:
        definition = network_definition(spec.backbone)
        network = definition.build_for(state, spec.levels[-1])
        self.spec, self.device = spec, device
        self.state = fit_state(network, state, spec.backbone)
        std = torch.tensor(definition.std, device=device)
        self._scale = 1 / (255 * std)
        self._shift = -torch.tensor(definition.mean, device=device) / std
        network.load_state_dict(self.state, strict=False)  # all but the batch counters
        network.eval().requires_grad_(False)
        self._network = fuse(network, device)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Patch features of a batch.

        Args:
            images: uint8 `[B, H, W, 3]`, RGB.

        Returns:
            float32 `[B, h, w, d]`, with h and w the image's height and width over the stride,
            rounded up.
        """
        rows, columns = (-(-side // self.spec.stride) for side in images.shape[1:3])
        with torch.inference_mode():
            pixels = self._normalise(images)
            grids = [self._features_at(times, pixels) for times in self.spec.resolutions]
            features = torch.cat([grid[:, :rows, :columns] for grid in grids], dim=-1)
            return features.contiguous().cpu().numpy()

    def _features_at(self, times: int, pixels: Tensor) -> Tensor:
        """Features `[B, h, w, d]` of images so many times smaller, on a grid of `spec.stride`.

        Args:
            pixels: `[B, 3, H, W]`, normalised.
        """
        spec = self.spec
        coarsest = network_definition(spec.backbone).strides[spec.levels[-1] - 1]
        if times > 1:
            pixels = functional.avg_pool2d(_padded(pixels, times), times)
        if spec.pad_to_cells:
            pixels = _padded(pixels, max(coarsest, spec.stride))
        maps = self._network(pixels)
        height, width = (-(-side * times // spec.stride) for side in pixels.shape[-2:])
        used = [maps[level] for level in spec.levels]
        return patch_features(used, (height, width), spec.count_padding)

    def _normalise(self, images: np.ndarray) -> Tensor:
        """float32 `[B, 3, H, W]` in channels_last, as the network was trained."""
        count, height, width, _ = images.shape
        # A view, as of cv2's BGR the other way round, has to be laid out anew.
        laid_out = torch.tensor(np.ascontiguousarray(images), device=self.device)
        pixels = laid_out.view(count, height, 3 * width).float()
        # Whole rows at a time: broadcasting over three channels is eight times slower.
        scale, shift = self._scale.repeat(width), self._shift.repeat(width)
        x = torch.addcmul(shift, pixels, scale)
        return x.view(count, height, width, 3).permute(0, 3, 1, 2)

    def with_spec(self, spec: EmbedderSpec) -> Self:
        """The same network, not copied, used in another way."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.spec = spec
        return other

    def __reduce__(self) -> tuple[Callable[..., "TorchEmbedder"], tuple[Any, ...]]:
        """Pickled and copied as what a model keeps: fused layers cannot be."""
        return _unpickle, (self.spec, self.network_bytes(), self.device.type)

    def network_bytes(self) -> bytes:
        """The network's tensors as a safetensors file: what a model keeps of it."""
        return save_tensors({name: t.contiguous().cpu() for name, t in self.state.items()})


def load_torch_embedder(
    backbone: str,
    levels: Sequence[int] = (2, 3),
    *,
    defect_levels: Sequence[int] | None = None,
    resolutions: Sequence[int] = (1,),
    count_padding: bool = True,
    weights: Path | None = None,
    device: str = "auto",
) -> TorchEmbedder:
    """The network of that name with its weights, ready to embed.

    Args:
        backbone: a name in `BACKBONES`.
        levels: of the normal bank; the first one's grid is that of the features.
        defect_levels: of the defect bank; None for the same.
        resolutions: see `EmbedderSpec`.
        count_padding: see `EmbedderSpec`.
        weights: their file, or a folder for some networks; None looks in the cache and in packages.
        device: "auto", "cpu" or "cuda".

    Raises:
        SettingsError: for a name, level or device that does not exist.
        WeightsError: where the weights are missing or do not fit.
    """
    definition = network_definition(backbone)
    for some in (levels, levels if defect_levels is None else defect_levels):
        check_levels(some)
    target = choose_device(device)
    path = find_weights(backbone, weights)
    state = read_state_dict(path)
    every = tuple(sorted({*levels, *(defect_levels or ())}))
    with torch.device("meta"):
        network = definition.build_for(state, every[-1])
    channels: dict[int, int] = network.channels  # type: ignore[assignment]
    spec = EmbedderSpec(
        backbone,
        every,
        tuple(channels[level] for level in every),
        stride=definition.strides[levels[0] - 1],
        count_padding=count_padding,
        weights_sha256=weights_sha256(path),
        pad_to_cells=True,
    ).with_resolutions(tuple(resolutions))
    return TorchEmbedder(spec, state, target)


def restore_torch_embedder(spec: EmbedderSpec, network: bytes, device: str) -> TorchEmbedder:
    """The embedder of a model, from its spec and what `network_bytes` gave.

    Raises:
        ModelError: where they do not fit together.
    """
    target = choose_device(device)
    try:
        check_levels(spec.levels)
        return TorchEmbedder(spec, load_tensors(network), target)
    except (SettingsError, WeightsError) as error:
        raise ModelError(f"the model's network is damaged: {error} Fit again.") from None


def _padded(pixels: Tensor, multiple: int) -> Tensor:
    """Images `[B, C, H, W]`, their last rows and columns repeated up to a multiple."""
    below, beside = (-side % multiple for side in pixels.shape[-2:])
    if not below and not beside:
        return pixels
    padded = functional.pad(pixels, (0, beside, 0, below), mode="replicate")
    return padded.contiguous(memory_format=torch.channels_last)


def _unpickle(spec: EmbedderSpec, network: bytes, device: str) -> TorchEmbedder:
    """On the same kind of device; on the CPU where a process or machine has no GPU."""
    return restore_torch_embedder(spec, network, "cpu" if device == "cpu" else "auto")


def check_levels(levels: Sequence[int]) -> None:
    """Raise SettingsError unless levels are increasing numbers of 1 to 4."""
    if not levels or list(levels) != sorted(set(levels)) or not set(levels) <= {1, 2, 3, 4}:
        raise SettingsError(f"levels {list(levels)}: give increasing numbers of 1 to 4, as 2,3.")


def choose_device(device: str) -> torch.device:
    """The device of that name; `auto` takes a CUDA GPU where there is one.

    Raises:
        SettingsError: for another name, or "cuda" where PyTorch sees no CUDA GPU.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"device {device!r}: use auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device cuda: PyTorch sees no CUDA GPU here. Use --device cpu.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
