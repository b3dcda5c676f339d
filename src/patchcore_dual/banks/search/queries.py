"""`Queries`: the patches of one image as the pruned search compares them.

Neighbouring patches are similar. The leading principal axes are therefore compared patch by patch,
and the remaining dimensions tile by tile: in each block of axes, a patch is represented by a
quantised *proxy*. This is the patch itself in the leading block, the mean of a tile of 2×2 patches
in the second, and the mean of a tile of 8×8 in what remains, each in 8-bit codes. The distance of
each patch to its proxy is known, and bounds the error of every inner product with the proxy.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from patchcore_dual.banks.backend.codes import encode
from patchcore_dual.banks.backend.compute import get_backend
from patchcore_dual.banks.backend.threads import run_on_row_blocks
from patchcore_dual.banks.search.principal_axes import PrincipalAxes
from patchcore_dual.banks.search.tile_kernels import centre, tile_means

TILE = 2  # patches, the side of a tile
LARGE_TILE = 8
_ROUNDING = 1e-6  # of squared norms: several times what single precision loses


@dataclass(frozen=True)
class Tiles:
    """Squares of the patch grid, each a run of consecutive patches.

    Attributes:
        starts: int64 `[t + 1]`, the first patch of each tile, and the number of patches.
        of: int64 `[q]`, the tile of each patch.
    """

    starts: np.ndarray
    of: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True)
class QuantisedProxies:
    """The proxies of an image's patches in one block of axes, `codes * scales[:, None]`.

    Attributes:
        codes: int8 `[t, k]`, one row for each tile, or for each patch.
        scales: float32 `[t]`.
        norms: float32 `[q]`, the norm of each patch's proxy.
        residual: float32 `[q]`, an upper bound on the distance of each patch to its proxy.
    """

    codes: np.ndarray
    scales: np.ndarray
    norms: np.ndarray
    residual: np.ndarray

    @classmethod
    def of_means(
        cls, means: np.ndarray, tile: np.ndarray, distance_to_mean: np.ndarray
    ) -> "QuantisedProxies":
        """The quantised means of tiles.

        Args:
            means: float32 `[t, k]`.
            tile: int64 `[q]`, the tile of each patch.
            distance_to_mean: float32 `[q]`, of each patch.
        """
        codes, scales = encode(means)
        decoded = codes * scales[:, None]
        error = norms(means - decoded)
        return cls(codes, scales, norms(decoded)[tile], distance_to_mean + error[tile])

    @classmethod
    def of_patches(cls, x: np.ndarray) -> "QuantisedProxies":
        """The quantised patches `[q, k]` themselves."""
        return cls.of_means(x, np.arange(len(x)), np.zeros(len(x), np.float32))


@dataclass(frozen=True)
class Queries:
    """The patch features of one image, prepared for pruned searches on the same axes.

    The patches are held in an order in which tiles are consecutive. They serve every bank that is
    searched on these axes: the work of preparing them is done once for both banks of a model.

    Attributes:
        axes: the principal axes they are prepared for.
        shape: of the search's result: `(h, w)`, or `(q,)` for patches that form no grid.
        order: int64 `[q]`, where each patch comes in the flattened image.
        patches: float32 `[q, d]`.
        squared: float32 `[q]`, squared distance of each patch from the axes' mean.
        tiles, large: tiles of 2×2 and of 8×8 patches.
        proxies: in the leading axes, in the second block, and in the remaining dimensions.
        refined_second: closer proxies in the second block, one for each patch: the tile's proxy
            plus `codes * scales`. `norms` and `residual` are of that sum.
        tile_codes: codes int8 `[t, k]` and scales float32 `[t]` of the tiles' means in the leading
            axes, for the initial guess.
        neighbour_tiles: int64 `[t, 5]`, each tile and the tiles above, below, left and right of it;
            -1 where there is none.
    """

    axes: PrincipalAxes
    shape: tuple[int, ...]
    order: np.ndarray
    patches: np.ndarray
    squared: np.ndarray
    tiles: Tiles
    large: Tiles
    proxies: tuple[QuantisedProxies, QuantisedProxies, QuantisedProxies]
    refined_second: QuantisedProxies
    tile_codes: tuple[np.ndarray, np.ndarray]
    neighbour_tiles: np.ndarray

    def __len__(self) -> int:
        return len(self.patches)

    def in_place(self, values: np.ndarray) -> np.ndarray:
        """Values `[q]` of the patches in this order, put back in the image's order and `shape`."""
        placed = np.empty_like(values)
        placed[self.order] = values
        return placed.reshape(self.shape)

    def most_of(self, grid: np.ndarray, share: float) -> np.ndarray:
        """A mask of the tiles with the largest values.

        Args:
            grid: float `[h, w]`, a value of each patch. A tile's value is the largest in it.
            share: the fraction of tiles to select, but at least one tile is.

        Returns:
            bool `[h, w]`, in which selected tiles are marked completely.
        """
        highest = np.maximum.reduceat(grid.reshape(-1)[self.order], self.tiles.starts[:-1])
        count = max(1, round(share * len(self.tiles)))
        chosen = np.zeros(len(self.tiles), dtype=bool)
        chosen[np.argpartition(highest, len(highest) - count)[len(highest) - count :]] = True
        return self.in_place(chosen[self.tiles.of])

    @classmethod
    def of(cls, features: np.ndarray, axes: PrincipalAxes) -> "Queries":
        """Prepare the patch features of an image.

        Args:
            features: float32 `[h, w, d]`; or `[q, d]` for patches that form no grid, of which
                consecutive ones should be similar.
            axes: the principal axes of the bank to search.

        >>> features = np.random.default_rng(0).random((4, 6, 8), np.float32)
        >>> queries = Queries.of(features, PrincipalAxes.of(features.reshape(24, 8)))
        >>> len(queries), len(queries.tiles)
        (24, 6)
        >>> bool((queries.in_place(queries.patches[:, 0]) == features[..., 0]).all())
        True
        """
        *shape, d = features.shape
        height, width = shape if len(shape) == 2 else (shape[0], 1)
        order, tiles, large, neighbour_tiles = _layout(height, width)
        n = len(order)
        flat = np.ascontiguousarray(features.reshape(n, d), dtype=np.float32)
        patches, centred = np.empty_like(flat), np.empty_like(flat)
        squared = np.empty(n, np.float32)
        run_on_row_blocks(
            lambda rows: centre(flat, order, axes.mean, rows, patches, centred, squared), n
        )
        along = get_backend().product(centred, axes.axes)
        leading, second = axes.split(along)
        of_second, refined_second = _second_proxies(second, tiles)
        return cls(
            axes=axes,
            shape=tuple(shape),
            order=order,
            patches=patches,
            squared=squared,
            tiles=tiles,
            large=large,
            proxies=(
                QuantisedProxies.of_patches(leading),
                of_second,
                _remaining_proxies(centred, along, squared, large, axes),
            ),
            refined_second=refined_second,
            tile_codes=encode(_means(leading, tiles)[0]),
            neighbour_tiles=neighbour_tiles,
        )


def _second_proxies(second: np.ndarray, tiles: Tiles) -> tuple[QuantisedProxies, QuantisedProxies]:
    """Of coordinates `[q, k]` in the second block: the tiles' proxies, and closer ones."""
    codes, scales = encode(_means(second, tiles)[0])
    proxy = (codes * scales[:, None])[tiles.of]
    difference = second - proxy
    of_tiles = QuantisedProxies(codes, scales, norms(proxy), norms(difference))
    codes, scales = encode(difference)
    error = difference - codes * scales[:, None]
    return of_tiles, QuantisedProxies(codes, scales, norms(second - error), norms(error))


def _remaining_proxies(
    centred: np.ndarray, along: np.ndarray, squared: np.ndarray, large: Tiles, axes: PrincipalAxes
) -> QuantisedProxies:
    """In the dimensions that the axes leave out: the means of large tiles."""
    means, distance = _means(centred, large)
    means_along, distance_along = _means(along, large)
    # The distance in the remaining dimensions follows by Pythagoras.
    rounding = _ROUNDING * (squared + distance**2)
    remaining = np.sqrt(np.maximum(distance**2 - distance_along**2, 0) + rounding)
    return QuantisedProxies.of_means(axes.rest(means, means_along), large.of, remaining)


def norms(x: np.ndarray) -> np.ndarray:
    """The Euclidean norm of each row, `[n]`."""
    return np.sqrt(np.einsum("nd,nd->n", x, x))


@lru_cache(maxsize=8)
def _layout(height: int, width: int) -> tuple[np.ndarray, Tiles, Tiles, np.ndarray]:
    """The order of a grid's patches, their tiles, large tiles, and each tile's neighbours."""
    row, column = np.divmod(np.arange(height * width), width)
    order = np.lexsort([k // t for t in (TILE, LARGE_TILE) for k in (column, row)])
    row, column = row[order], column[order]
    tiles, large = (_tiles(row // t, column // t) for t in (TILE, LARGE_TILE))
    first = tiles.starts[:-1]
    return order, tiles, large, _neighbour_tiles(row[first] // TILE, column[first] // TILE)


def _tiles(row: np.ndarray, column: np.ndarray) -> Tiles:
    """The runs of patches whose tiles have the same row and column."""
    changes = np.flatnonzero((np.diff(row) != 0) | (np.diff(column) != 0)) + 1
    starts = np.concatenate([[0], changes, [len(row)]])
    return Tiles(starts, np.repeat(np.arange(len(starts) - 1), np.diff(starts)))


def _means(x: np.ndarray, tiles: Tiles) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each tile `[t, d]`, and the distance of each row to its tile's mean `[q]`."""
    means = np.empty((len(tiles), x.shape[1]), np.float32)
    distance_to_mean = np.empty(len(x), np.float32)
    tile_means(x, tiles.starts, means, distance_to_mean)
    return means, distance_to_mean


def _neighbour_tiles(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """int64 `[t, 5]`: each tile, and those above, below, left and right of it; -1 for none."""
    grid = np.full((row.max() + 3, column.max() + 3), -1)
    grid[row + 1, column + 1] = np.arange(len(row))
    steps = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
    return np.stack([grid[row + 1 + i, column + 1 + j] for i, j in steps], axis=1)
