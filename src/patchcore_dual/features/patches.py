"""From feature maps to patch features: aggregation, alignment, concatenation (4.3.2, 4.3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def patch_features(maps: Sequence[Tensor]) -> Tensor:
    """One vector per cell of the first (finest) map.

    Args:
        maps: `[B, C_k, H_k, W_k]`, finest level first.

    Returns:
        `[B, H_1, W_1, ΣC_k]`. Each level is averaged over its 3×3 neighbourhood, brought to the
        first level's grid bilinearly, and concatenated (PatchCore, Roth et al. 2022, section 3.1).
        As in PatchCore's own code, the zeros around the map count in the average.
    """
    grid = maps[0].shape[-2:]
    aligned = []
    for level in maps:
        local = functional.avg_pool2d(level, 3, stride=1, padding=1)
        if local.shape[-2:] != grid:
            local = functional.interpolate(local, grid, mode="bilinear", align_corners=False)
        aligned.append(local)
    return torch.cat(aligned, dim=1).permute(0, 2, 3, 1)
