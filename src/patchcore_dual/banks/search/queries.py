"""`Queries`: the patches of one image as the pruned search compares them.

Neighbouring patches look alike, so what few dimensions do not tell is compared tile by tile: for
each block of principal axes a *stand-in* takes a patch's place. It is the patch itself in the
leading block, the mean of a tile of 2×2 patches in the next, of 8×8 in what is left, each in 8-bit
codes. How far a patch is from its stand-in is known, and bounds what the stand-in leaves out.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from patchcore_dual.banks.backend.codes import encode
from patchcore_dual.banks.backend.compute import get_backend
from patchcore_dual.banks.backend.threads import run_on_row_blocks
from patchcore_dual.banks.search.kernels import centre, tile_means
from patchcore_dual.banks.search.principal_axes import PrincipalAxes

TILE = 2
LARGE_TILE = 8
ROUNDING = 1e-6  # of squared norms in single precision, several times over


@dataclass(frozen=True)
class Tiles:
    """Runs of patches that lie in one square of the grid.

    Attributes:
        starts: int64 `[t + 1]`, each tile's first patch, and the number of patches.
        of: int64 `[q]`, the tile of each patch.
    """

    starts: np.ndarray
    of: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True)
class StandIns:
    """What takes the patches' place in one block of axes, `codes · scales`.

    Attributes:
        codes: int8 `[t, d]`, one for each tile (or patch).
        scales: float32 `[t]`.
        norms: float32 `[q]`, length of each patch's stand-in.
        residual: float32 `[q]`, at least the distance of each patch from its stand-in.
    """

    codes: np.ndarray
    scales: np.ndarray
    norms: np.ndarray
    residual: np.ndarray

    @classmethod
    def of(cls, means: np.ndarray, tile: np.ndarray, apart: np.ndarray) -> "StandIns":
        """Codes of means `[t, d]`; `tile` is each patch's, `apart` its distance from the mean."""
        codes, scales = encode(means)
        decoded = codes * scales[:, None]
        coding = norms(means - decoded)
        return cls(codes, scales, norms(decoded)[tile], apart + coding[tile])


@dataclass(frozen=True)
class Queries:
    """Patches in an order that keeps tiles together, and what takes their place.

    Attributes:
        axes: those they are prepared for.
        shape: of the answer: `[h, w]`, or `[q]` for patches of no grid.
        order: int64 `[q]`, position of each in the image.
        patches: float32 `[q, d]`.
        squared: float32 `[q]`, squared distance from the axes' mean.
        tiles, large: tiles of 2×2 and of 8×8.
        blocks: stand-ins in the leading block, in the one after it, and in all that is left.
        own_second: what takes the second block's place patch by patch: codes of how it differs from
            its tile's stand-in, norms and residual of the two together.
        guide: codes int8 `[t, d]` and scales `[t]` of the tiles' means in the leading block, for a
            first guess.
        beside: int64 `[t, 5]`, each tile and those beside it, −1 for none.
    """

    axes: PrincipalAxes
    shape: tuple[int, ...]
    order: np.ndarray
    patches: np.ndarray
    squared: np.ndarray
    tiles: Tiles
    large: Tiles
    blocks: tuple[StandIns, StandIns, StandIns]
    own_second: StandIns
    guide: tuple[np.ndarray, np.ndarray]
    beside: np.ndarray

    def __len__(self) -> int:
        return len(self.patches)

    def in_place(self, values: np.ndarray) -> np.ndarray:
        """Values `[q]` in this order brought back to `shape`."""
        placed = np.empty_like(values)
        placed[self.order] = values
        return placed.reshape(self.shape)

    def most_of(self, grid: np.ndarray, share: float) -> np.ndarray:
        """bool of the queries' shape: the tiles with the largest values of a grid, whole."""
        highest = np.maximum.reduceat(grid.reshape(-1)[self.order], self.tiles.starts[:-1])
        count = max(1, round(share * len(self.tiles)))
        chosen = np.zeros(len(self.tiles), dtype=bool)
        chosen[np.argpartition(highest, len(highest) - count)[len(highest) - count :]] = True
        return self.in_place(chosen[self.tiles.of])

    @classmethod
    def of(cls, features: np.ndarray, axes: PrincipalAxes) -> "Queries":
        """Of features float32 `[h, w, d]`; or `[q, d]`, where neighbours in order are alike."""
        *shape, d = features.shape
        height, width = shape if len(shape) == 2 else (shape[0], 1)
        order, tiles, large, beside = _layout(height, width)
        n = len(order)
        flat = np.ascontiguousarray(features.reshape(n, d), dtype=np.float32)
        patches, centred = np.empty_like(flat), np.empty_like(flat)
        squared = np.empty(n, np.float32)
        run_on_row_blocks(
            lambda rows: centre(flat, order, axes.mean, rows, patches, centred, squared), n
        )
        along = get_backend().product(centred, axes.axes)
        leading, second = axes.split(along)
        whole, apart = _means(centred, large)
        whole_along, apart_along = _means(along, large)
        codes, scales = encode(_means(second, tiles)[0])
        stand_in = (codes * scales[:, None])[tiles.of]
        deviation = second - stand_in
        in_second = StandIns(codes, scales, norms(stand_in), norms(deviation))
        codes, scales = encode(deviation)
        left_out = deviation - codes * scales[:, None]
        own_second = StandIns(codes, scales, norms(second - left_out), norms(left_out))
        # By Pythagoras, less what the axes hold; a little more, for rounding.
        rounding = ROUNDING * (squared + apart**2)
        apart = np.sqrt(np.maximum(apart**2 - apart_along**2, 0) + rounding)
        return cls(
            axes,
            tuple(shape),
            order,
            patches,
            squared,
            tiles,
            large,
            (
                StandIns.of(leading, np.arange(n), np.zeros(n, np.float32)),
                in_second,
                StandIns.of(axes.rest(whole, whole_along), large.of, apart),
            ),
            own_second,
            encode(_means(leading, tiles)[0]),
            beside,
        )


def norms(x: np.ndarray) -> np.ndarray:
    """Euclidean norm of each row."""
    return np.sqrt(np.einsum("nd,nd->n", x, x))


@lru_cache(maxsize=8)
def _layout(height: int, width: int) -> tuple[np.ndarray, Tiles, Tiles, np.ndarray]:
    """Order, tiles, large tiles and the tiles beside each, of a grid."""
    row, column = np.divmod(np.arange(height * width), width)
    order = np.lexsort([k // t for t in (TILE, LARGE_TILE) for k in (column, row)])
    row, column = row[order], column[order]
    tiles, large = (_tiles(row // t, column // t) for t in (TILE, LARGE_TILE))
    first = tiles.starts[:-1]
    return order, tiles, large, _beside(row[first] // TILE, column[first] // TILE)


def _tiles(row: np.ndarray, column: np.ndarray) -> Tiles:
    """The runs of equal (row, column)."""
    changes = np.flatnonzero((np.diff(row) != 0) | (np.diff(column) != 0)) + 1
    starts = np.concatenate([[0], changes, [len(row)]])
    return Tiles(starts, np.repeat(np.arange(len(starts) - 1), np.diff(starts)))


def _means(x: np.ndarray, tiles: Tiles) -> tuple[np.ndarray, np.ndarray]:
    """Mean `[t, d]` of each tile, and each row's distance `[q]` from its tile's."""
    means = np.empty((len(tiles), x.shape[1]), np.float32)
    apart = np.empty(len(x), np.float32)
    tile_means(x, tiles.starts, means, apart)
    return means, apart


def _beside(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """int64 `[t, 5]`: each tile, and those above, below, left and right; −1 for none."""
    grid = np.full((row.max() + 3, column.max() + 3), -1)
    grid[row + 1, column + 1] = np.arange(len(row))
    steps = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
    return np.stack([grid[row + 1 + i, column + 1 + j] for i, j in steps], axis=1)
