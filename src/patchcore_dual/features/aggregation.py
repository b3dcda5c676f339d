"""From feature maps to patch features: aggregation, alignment, concatenation (4.3.2, 4.3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def patch_features(
    maps: Sequence[Tensor], grid: tuple[int, int], count_padding: bool = True
) -> Tensor:
    """One vector per cell of a grid.

    Args:
        maps: `[B, C_k, H_k, W_k]`, finest level first.
        grid: rows H and columns W, those of one of the maps.
        count_padding: whether the zeros around a map count in the means at its border.

    Returns:
        `[B, H, W, ΣC_k]`. Each level is averaged over its 3×3 neighbourhood, brought to the grid
        bilinearly (a finer level by the mean over each cell), and concatenated (PatchCore, Roth et
        al. 2022, section 3.1).
    """
    aligned = []
    for level in maps:
        local = functional.avg_pool2d(
            level, 3, stride=1, padding=1, count_include_pad=count_padding
        )
        if local.shape[-2] > grid[0] or local.shape[-1] > grid[1]:
            local = functional.adaptive_avg_pool2d(local, grid)
        elif local.shape[-2:] != grid:
            local = functional.interpolate(local, grid, mode="bilinear", align_corners=False)
        aligned.append(local)
    return torch.cat(aligned, dim=1).permute(0, 2, 3, 1)
