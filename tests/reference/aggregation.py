"""Local neighbourhood aggregation and bilinear alignment (4.3.2, 4.3.3) as loops over cells."""

import math

import numpy as np


def neighbourhood_mean(level):
    """Mean over 3×3 cells of `[C, H, W]`; what lies outside the map counts as zero."""
    channels, height, width = level.shape
    mean = np.zeros_like(level, dtype=np.float64)
    for y in range(height):
        for x in range(width):
            total = np.zeros(channels)
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    if 0 <= y + dy < height and 0 <= x + dx < width:
                        total += level[:, y + dy, x + dx]
            mean[:, y, x] = total / 9
    return mean


def bilinear(level, new_height, new_width):
    """`[C, H, W]` read at the centres of a new grid's cells, edges repeated (no corner rule)."""
    channels, height, width = level.shape
    out = np.zeros((channels, new_height, new_width))
    for row in range(new_height):
        for column in range(new_width):
            y = max((row + 0.5) * height / new_height - 0.5, 0)
            x = max((column + 0.5) * width / new_width - 0.5, 0)
            top, left = min(math.floor(y), height - 1), min(math.floor(x), width - 1)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            down, across = y - top, x - left
            out[:, row, column] = (1 - down) * (
                (1 - across) * level[:, top, left] + across * level[:, top, right]
            ) + down * ((1 - across) * level[:, bottom, left] + across * level[:, bottom, right])
    return out


def patch_features(levels):
    """Maps `[C_k, H_k, W_k]` of one image to `[H_1, W_1, ΣC_k]`."""
    _, height, width = levels[0].shape
    means = [neighbourhood_mean(level) for level in levels]
    aligned = [
        mean if mean.shape[1:] == (height, width) else bilinear(mean, height, width)
        for mean in means
    ]
    return np.concatenate(aligned).transpose(1, 2, 0)
