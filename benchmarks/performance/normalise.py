"""uint8 images to the tensor that torchvision's networks take (for the peers)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
_STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def tensor(images: Sequence[np.ndarray]) -> Tensor:
    """float32 `[B, 3, H, W]` of uint8 `[H, W, 3]` each."""
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    return (stacked / 255 - _MEAN) / _STD
