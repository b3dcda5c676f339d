"""Whether two pictures show the same surface: their micro-texture, tile by tile, registered."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

# The micro-texture is the band between these widths, in pixels of the pictures.
FINE_SIGMA, COARSE_SIGMA = 1.0, 4.0
# Contrast is equalised over windows of so many pixels, so that illumination does not matter.
CONTRAST_WINDOW = 17
# In squared grey levels. Below it, a tile is too flat to be compared.
LEAST_VARIANCE = 1.0
LARGEST_TILE, SMALLEST_TILE = 32, 8
FEWEST_TILES = 6
# How far the pictures may be moved against each other, as a fraction of their sides, and how far a
# tile beside that, in pixels: a slight turn or stretch.
LARGEST_SHIFT = 0.25
TILE_SHIFT = 2
# So many tiles may differ: a defect, a reflection.
IGNORED_SHARE = 0.1


@dataclass(frozen=True)
class Texture:
    """The micro-texture of a picture.

    Attributes:
        band: float32 [h, w], of equal contrast everywhere.
        variance: float32 [h, w], the contrast that it had, in squared grey levels.
    """

    band: FloatArray
    variance: FloatArray


def texture_of(picture: NDArray[np.uint8]) -> Texture:
    """The micro-texture of a grey picture, uint8 [h, w]."""
    grey = picture.astype(np.float32)
    band = cv2.GaussianBlur(grey, (0, 0), FINE_SIGMA) - cv2.GaussianBlur(grey, (0, 0), COARSE_SIGMA)
    variance = np.asarray(cv2.blur(band * band, (CONTRAST_WINDOW, CONTRAST_WINDOW)), np.float32)
    return Texture(band / np.sqrt(variance + 0.25), variance)


def agreement(first: Texture, second: Texture) -> float:
    """How well two surfaces agree: a correlation that nine tenths of the tiles reach.

    The pictures are registered by the shift at which they correlate best, and each tile once more
    by a few pixels. Tiles without texture do not count; where hardly any has, nothing is known.

    Returns:
        From 0 (nothing in common, or nothing known) to 1.

    >>> surface = np.random.default_rng(0).integers(0, 256, (130, 130), np.uint8)
    >>> moved, other = surface[5:, 3:] // 2, surface[::-1]
    >>> agreement(texture_of(surface), texture_of(moved)) > 0.9
    True
    >>> agreement(texture_of(surface), texture_of(other)) < 0.3
    True
    """
    if min(*first.band.shape, *second.band.shape) < SMALLEST_TILE:
        return 0.0
    down, right = _shift(first.band, second.band)
    top, left = max(0, -down) + TILE_SHIFT, max(0, -right) + TILE_SHIFT
    (h, w), (other_h, other_w) = first.band.shape, second.band.shape
    height = min(h, other_h - down) - TILE_SHIFT - top
    width = min(w, other_w - right) - TILE_SHIFT - left
    side = int(np.clip(np.sqrt(min(h * w, other_h * other_w)) / 8, SMALLEST_TILE, LARGEST_TILE))
    rows, columns = height // side, width // side
    if rows < 1 or columns < 1 or rows * columns < FEWEST_TILES:
        return 0.0

    def tiles(values: FloatArray) -> FloatArray:
        means = cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(means, np.float32).reshape(rows, columns)

    def window(values: FloatArray, y: int, x: int) -> FloatArray:
        return values[y : y + rows * side, x : x + columns * side]

    mine = window(first.band, top, left)
    squared = tiles(mine * mine)
    # The mean square of every tile that begins at a pixel, for all shifts at once.
    squared_there = np.asarray(
        cv2.blur(second.band * second.band, (side, side), anchor=(0, 0)), np.float32
    )
    product = np.empty((rows * side, columns * side), np.float32)
    best = np.zeros((rows, columns), np.float32)
    top_there, left_there = top + down, left + right
    for y in range(top_there - TILE_SHIFT, top_there + TILE_SHIFT + 1):
        for x in range(left_there - TILE_SHIFT, left_there + TILE_SHIFT + 1):
            np.multiply(mine, window(second.band, y, x), out=product)
            theirs = window(squared_there, y, x)[::side, ::side]
            best = np.maximum(best, tiles(product) / np.sqrt(squared * theirs + 1e-6))
    has_texture = (tiles(window(first.variance, top, left)) > LEAST_VARIANCE) & (
        tiles(window(second.variance, top_there, left_there)) > LEAST_VARIANCE
    )
    if has_texture.sum() < FEWEST_TILES:
        return 0.0
    return float(np.quantile(best[has_texture], IGNORED_SHARE))


def _shift(first: FloatArray, second: FloatArray) -> tuple[int, int]:
    """Rows down and columns to the right by which the second band lies beside the first."""
    height = max(first.shape[0], second.shape[0])
    width = max(first.shape[1], second.shape[1])
    reach_y, reach_x = round(LARGEST_SHIFT * height), round(LARGEST_SHIFT * width)
    # Half the resolution is exact enough: tiles are searched for over a few pixels.
    size = [
        cv2.getOptimalDFTSize((n + reach + 3) // 2)
        for n, reach in ((height, reach_y), (width, reach_x))
    ]
    spectra = [cv2.dft(_padded(_halved(band), size), flags=0) for band in (first, second)]
    product = cv2.mulSpectrums(spectra[1], spectra[0], 0, conjB=True)
    surface = cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_REAL_OUTPUT)
    rows = np.arange(-(reach_y // 2), reach_y // 2 + 1)
    columns = np.arange(-(reach_x // 2), reach_x // 2 + 1)
    allowed = surface[np.ix_(rows % size[0], columns % size[1])]
    row, column = np.unravel_index(int(allowed.argmax()), allowed.shape)
    return 2 * int(rows[row]), 2 * int(columns[column])


def _halved(band: FloatArray) -> FloatArray:
    height, width = band.shape
    even = band[: height // 2 * 2, : width // 2 * 2]
    halved = cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(halved, np.float32)


def _padded(values: FloatArray, size: list[int]) -> FloatArray:
    padded: Any = np.zeros(size, np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    return padded
