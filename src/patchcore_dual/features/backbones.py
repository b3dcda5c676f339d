"""`Backbone`: a pre-trained network, frozen, that turns images into grids of patch features."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from patchcore_dual.errors import SettingsError
from patchcore_dual.features.aggregation import patch_features
from patchcore_dual.features.networks.convolution import fuse
from patchcore_dual.features.networks.resnet import ResNet, build_resnet
from patchcore_dual.features.weights import file_sha256, find_weights, fit_state, read_state_dict

if TYPE_CHECKING:
    from patchcore_dual.features.networks.efficientnet import EfficientNetLite0

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# EfficientNet-Lite was trained on (x − 127) / 128.
LITE_MEAN = (127 / 255,) * 3
LITE_STD = (128 / 255,) * 3


def _efficientnet_lite0(deepest: int) -> "EfficientNetLite0":
    from patchcore_dual.features.networks.efficientnet import build_efficientnet_lite0

    return build_efficientnet_lite0(deepest)


def _resnet(name: str) -> Callable[[int], ResNet]:
    return lambda deepest: build_resnet(name, deepest)


# To add a backbone: a network whose forward gives {level: map} and which names its `channels` by
# level, with the mean and deviation its weights were trained on.
BACKBONES: dict[
    str,
    tuple[Callable[[int], "ResNet | EfficientNetLite0"], Sequence[float], Sequence[float]],
] = {
    "efficientnet_lite0": (_efficientnet_lite0, LITE_MEAN, LITE_STD),
    **{
        name: (_resnet(name), IMAGENET_MEAN, IMAGENET_STD)
        for name in ("resnet18", "resnet34", "resnet50", "wide_resnet50_2")
    },
}


class Backbone:
    """A frozen network and the levels that are used of it.

    Attributes:
        name: its name in `BACKBONES`.
        levels: of the normal bank, e.g. (2, 3), strides 8 and 16; the first one's grid is used.
        defect_levels: of the defect bank, mostly the same.
        weights_sha256: hex digest of the weights file.
        channels: length of a patch feature (1,536 for ResNet-50 at levels 2 and 3).
        state: the tensors in use, by name, as the weights file has them.
    """

    def __init__(
        self,
        name: str,
        levels: Sequence[int],
        defect_levels: Sequence[int],
        state: dict[str, Tensor],
        weights_sha256: str,
        device: torch.device,
    ) -> None:
        build, mean, std = BACKBONES[name]
        self._all_levels = sorted({*levels, *defect_levels})
        network = build(self._all_levels[-1])
        self.name = name
        self.levels = tuple(levels)
        self.defect_levels = tuple(defect_levels)
        self.weights_sha256 = weights_sha256
        self.device = device
        self.state = fit_state(network, state, name)
        self._level_channels = {level: network.channels[level] for level in self._all_levels}
        self.channels = sum(self._level_channels.values())
        self._scale = 1 / (255 * torch.tensor(std, device=device))
        self._shift = -torch.tensor(mean, device=device) / torch.tensor(std, device=device)
        network.load_state_dict(self.state, strict=False)  # all but the batch counters
        network.eval().requires_grad_(False)
        self._network = fuse(network, device)

    def __call__(self, images: np.ndarray, count_padding: bool = True) -> np.ndarray:
        """Patch features of a batch.

        Args:
            images: uint8 `[B, H, W, 3]`, RGB.
            count_padding: see `patch_features`.

        Returns:
            float32 `[B, h, w, channels]`, where h and w are H and W over the stride of the first
            level, rounded up.
        """
        with torch.inference_mode():
            maps = self._network(self._normalise(images))
            rows, columns = maps[self.levels[0]].shape[-2:]
            used = [maps[k] for k in self._all_levels]
            features = patch_features(used, (rows, columns), count_padding)
            return features.contiguous().cpu().numpy()

    def _normalise(self, images: np.ndarray) -> Tensor:
        """float32 `[B, 3, H, W]` in channels_last, as the network was trained."""
        count, height, width, _ = images.shape
        pixels = torch.tensor(images, device=self.device).view(count, height, 3 * width).float()
        # Whole rows at a time: broadcasting over three channels is eight times slower.
        scale, shift = self._scale.repeat(width), self._shift.repeat(width)
        x = torch.addcmul(shift, pixels, scale)
        return x.view(count, height, width, 3).permute(0, 3, 1, 2)

    def channels_of(self, levels: Sequence[int]) -> np.ndarray | None:
        """Which channels of a patch feature come from these levels, int64; None where all do."""
        if list(levels) == self._all_levels:
            return None
        level_of = np.repeat(self._all_levels, list(self._level_channels.values()))
        return np.flatnonzero(np.isin(level_of, levels))


def load_backbone(
    name: str,
    levels: Sequence[int] = (2, 3),
    weights: Path | None = None,
    device: str = "auto",
    defect_levels: Sequence[int] | None = None,
) -> Backbone:
    """The backbone `name` with its weights, ready on `device` ("auto", "cpu" or "cuda").

    Raises WeightsError where its weights are missing or do not fit, SettingsError for a name,
    level or device that does not exist.
    """
    defect_levels = levels if defect_levels is None else defect_levels
    check_backbone(name, levels)
    check_backbone(name, defect_levels)
    target = choose_device(device)
    path = find_weights(name, weights)
    state, digest = read_state_dict(path), file_sha256(path)
    return Backbone(name, levels, defect_levels, state, digest, target)


def check_backbone(name: str, levels: Sequence[int]) -> None:
    """Raise SettingsError unless there is such a backbone with such levels."""
    if name not in BACKBONES:
        raise SettingsError(f"no backbone {name!r}; there are: {', '.join(BACKBONES)}.")
    if not levels or list(levels) != sorted(set(levels)) or not set(levels) <= {1, 2, 3, 4}:
        raise SettingsError(f"levels {list(levels)}: give increasing numbers of 1 to 4, as 2,3.")


def choose_device(device: str) -> torch.device:
    """`auto` takes a CUDA GPU where there is one."""
    if device not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"device {device!r}: use auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device cuda: PyTorch sees no CUDA GPU here. Use --device cpu.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
