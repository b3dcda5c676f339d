"""`TiledEmbedder`: large images, embedded tile by tile.

A network sees tiles that overlap, and of each tile only the inner cells are kept, so that together
they are the grid of the whole image. Tiles begin where the cells of all levels lie as they do in
the whole image, and the last ones end with it: features differ from those of one pass only by what
a network sees farther away than half the overlap.

What a network sees around a cell grows as an image is made smaller. Tiles and their overlap are
therefore as large for the network at each of several resolutions: at half the size a tile covers
four times the area of the image, up to a limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from patchcore_dual.errors import SettingsError
from patchcore_dual.features.embedder import (
    Embedder,
    EmbedderSpec,
    ProjectedEmbedder,
    Wrapper,
    unwrapped,
)
from patchcore_dual.settings import Settings

# Pixels of the image along a side of a tile of a coarse resolution, at most: until they are made
# fewer, they take more memory than the network.
LARGEST = 2048
OVERLAP = 320  # pixels by which tiles overlap, unless it is set; see docs/guide/large.md


class Span(NamedTuple):
    """A tile along one side of an image.

    Attributes:
        pixels: those that the network sees.
        cells: those of the grid that are kept.
        kept: the same cells, counted from the tile's own first one.
    """

    pixels: slice
    cells: slice
    kept: slice


def tile_step(spec: EmbedderSpec) -> int:
    """Pixels, as the network sees them, of which sides of tiles and their overlap are multiples.

    >>> from patchcore_dual.features import EmbedderSpec
    >>> tile_step(EmbedderSpec("resnet18", (2, 3), (128, 256), stride=16, resolutions=(1, 2, 4)))
    16
    """
    finest = spec.stride // spec.resolutions[min(1, len(spec.resolutions) - 1)]
    coarsest = finest * 2 ** (spec.levels[-1] - spec.levels[0]) if spec.levels else finest
    return max(coarsest, spec.stride)


def spans(side: int, tile: int, overlap: int, step: int, stride: int) -> list[Span]:
    """The tiles along one side of an image, which keep each of its cells once.

    Args:
        side: of the image, in pixels.
        tile, overlap: in pixels, multiples of `step`; the overlap is the smaller one. Tiles are
            spread evenly, so that some overlap by more.
        step: pixels whose multiples tiles begin at.
        stride: pixels of a cell, which divide `step`.

    >>> for span in spans(200, tile=96, overlap=32, step=16, stride=8):
    ...     print(*span)
    slice(0, 96, None) slice(0, 9, None) slice(0, 9, None)
    slice(48, 144, None) slice(9, 16, None) slice(3, 10, None)
    slice(112, 200, None) slice(16, 25, None) slice(2, 11, None)
    """
    last = max(0, -(-(side - tile) // step))  # where the last tile begins, in steps
    count = 1 + -(-last // ((tile - overlap) // step))
    starts = [step * (last * i // max(1, count - 1)) for i in range(count)]
    ends = [min(start + tile, side) for start in starts]
    cuts = [(begin + end) // 2 // stride for begin, end in zip(starts[1:], ends, strict=False)]
    edges = [0, *cuts, -(-side // stride)]
    return [
        _span(start, end, slice(first, behind), stride)
        for start, end, (first, behind) in zip(starts, ends, pairwise(edges), strict=True)
    ]


def span_around(cells: slice, side: int, tile: int, step: int, stride: int) -> Span:
    """The tile that has some cells in its middle, or as near to it as the image's border allows.

    >>> span_around(slice(10, 13), side=200, tile=96, step=16, stride=8)
    Span(pixels=slice(32, 128, None), cells=slice(10, 13, None), kept=slice(6, 9, None))
    """
    middle = (cells.start + cells.stop) * stride // 2
    last = max(0, -(-(side - tile) // step))
    start = step * min(max(0, (middle - tile // 2) // step), last)
    return _span(start, min(start + tile, side), cells, stride)


def _span(start: int, end: int, cells: slice, stride: int) -> Span:
    first = start // stride
    return Span(slice(start, end), cells, slice(cells.start - first, cells.stop - first))


class TiledEmbedder(Wrapper):
    """An embedder that sees large images tile by tile, and gives the grid of the whole image.

    >>> from patchcore_dual.features import EmbedderSpec
    >>> class Cells:
    ...     spec = EmbedderSpec("cells", (), (3,), stride=8)
    ...     def __call__(self, images):
    ...         b, h, w, _ = images.shape
    ...         return images.reshape(b, h // 8, 8, w // 8, 8, 3).mean((2, 4), dtype=np.float32)
    >>> images = np.random.default_rng(0).integers(0, 256, (1, 128, 96, 3), dtype=np.uint8)
    >>> tiled = TiledEmbedder(Cells(), (64, 64), overlap=16)
    >>> bool((tiled(images) == Cells()(images)).all())
    True

    Args:
        embedder: sees the tiles. Its grid has to have a cell for every `stride` pixels of an image,
            rounded up.
        tile: width and height in pixels, as the network sees them, rounded up to multiples of
            `tile_step`. A side of an image that is shorter is in one piece.
        overlap: pixels that neighbouring tiles share at least, likewise; None for `OVERLAP`, and at
            most half a tile.

    Attributes:
        embedder, spec: the embedder, and its spec.
        tile, overlap: as they are used, rounded up.
        step: what both are multiples of.

    Raises:
        SettingsError: where tiles do not overlap by less than their size.
    """

    def __init__(
        self, embedder: Embedder, tile: tuple[int, int], overlap: int | None = None
    ) -> None:
        self.embedder, self.spec = embedder, embedder.spec
        self.step = tile_step(embedder.spec)
        width, height = (self._rounded_up(side) for side in tile)
        if overlap is None:
            overlap = min(OVERLAP, min(width, height) // 2)
        self.tile, self.overlap = (width, height), self._rounded_up(overlap)
        if self.overlap >= min(width, height):
            raise SettingsError(
                f"tiles of {width}x{height} pixels cannot overlap by {self.overlap} (for this "
                f"network both are multiples of {self.step}). Give larger tiles, or a smaller "
                "overlap."
            )
        times_of = self.spec.resolutions
        if hasattr(embedder, "at_resolution"):
            self._parts = [(embedder.at_resolution(times), times) for times in times_of]
        else:
            self._parts = [(embedder, times_of[-1])]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Embed a batch: uint8 `[B, H, W, 3]` to float32 `[B, h, w, d]`."""
        return np.stack([self.grid(image).whole() for image in images])

    def grid(self, image: np.ndarray, wanted: np.ndarray | None = None) -> "TiledFeatures":
        """The features of an image uint8 `[H, W, 3]`, which are computed where they are used.

        Args:
            wanted: bool `[h, w]`, the cells that are needed: a tile without any is left out. None
                for all.
        """
        height, width = image.shape[:2]
        grids = []
        for embedder, times in self._parts:
            step, overlap = times * self.step, times * self.overlap
            most = self._rounded_up(max(LARGEST // times, 3 * self.overlap // 2))
            size = tuple(times * min(tile, most) if times > 1 else tile for tile in self.tile[::-1])
            rows, columns = (
                spans(side, tile, overlap, step, self.spec.stride)
                for side, tile in zip((height, width), size, strict=True)
            )
            grids.append(_Resolution(embedder, image, rows, columns, size, step, wanted))
        return TiledFeatures(grids, wanted)

    def tiles_of(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """The tiles of an image uint8 `[H, W, 3]` at its own resolution, uint8 `[h, w, 3]` each."""
        first = self.grid(image).resolutions[0]
        for row in first.rows:
            for column in first.columns:
                yield image[row.pixels, column.pixels]

    def _rounded_up(self, pixels: int) -> int:
        return -(-pixels // self.step) * self.step


def as_set(embedder: Embedder, settings: Settings) -> Embedder:
    """The embedder as the banks see images: in tiles and projected, where the settings say so."""
    if settings.tile is not None:
        embedder = TiledEmbedder(unwrapped(embedder), settings.tile, settings.overlap)
    if settings.bank_vectors == "projected":
        return ProjectedEmbedder(embedder, settings.seed)
    return embedder


@dataclass(frozen=True)
class _Resolution:
    """What one resolution adds to the features of one image.

    Attributes:
        embedder: sees a tile.
        image: uint8 `[H, W, 3]`.
        rows, columns: the tiles along each side.
        size: height and width of a tile, in pixels of the image.
        step: pixels whose multiples tiles begin at.
        wanted: bool `[h, w]`, the cells that are needed; None for all.
    """

    embedder: Embedder
    image: np.ndarray
    rows: list[Span]
    columns: list[Span]
    size: tuple[int, ...]
    step: int
    wanted: np.ndarray | None
    _band: list[tuple[Span, np.ndarray]] = field(default_factory=list)  # the last one, if any

    def rows_of(self, start: int, stop: int) -> np.ndarray:
        """Some rows of features `[n, w, d]` that lie in one row of tiles, which is kept."""
        if not self._band or self._band[0][0].cells.stop <= start:
            self._band.clear()  # before the next is made, so that there are never two
            row = next(span for span in self.rows if span.cells.stop > start)
            self._band.append((row, self._row_of_tiles(row)))
        (row, features) = self._band[0]
        return features[start - row.cells.start : stop - row.cells.start]

    def around(self, rows: slice, columns: slice) -> np.ndarray:
        """The features `[n, m, d]` of a few cells, by a tile that has them in its middle."""
        row, column = (
            span_around(cells, side, tile, self.step, self.embedder.spec.stride)
            for cells, side, tile in zip((rows, columns), self.image.shape, self.size, strict=False)
        )
        features = self._embed(row, column)
        self.release_memory()
        return features

    def release_memory(self) -> None:
        """Forget the last row of tiles, and what the network keeps of it."""
        self._band.clear()
        if hasattr(self.embedder, "release_memory"):
            self.embedder.release_memory()

    def _row_of_tiles(self, row: Span) -> np.ndarray:
        height, width = row.cells.stop - row.cells.start, self.columns[-1].cells.stop
        features = np.zeros((height, width, self.embedder.spec.channels), np.float32)
        for column in self.columns:
            if self.wanted is None or self.wanted[row.cells, column.cells].any():
                features[:, column.cells] = self._embed(row, column)
        if hasattr(self.embedder, "release_memory"):  # the other resolutions need it next
            self.embedder.release_memory()
        return features

    def _embed(self, row: Span, column: Span) -> np.ndarray:
        features = self.embedder(self.image[None, row.pixels, column.pixels])[0]
        stride = self.embedder.spec.stride
        height, width = (span.pixels.stop - span.pixels.start for span in (row, column))
        if features.shape[:2] != (-(-height // stride), -(-width // stride)):
            raise SettingsError(
                f"the embedder gives a grid of {features.shape[1]}x{features.shape[0]} for a tile "
                f"of {width}x{height} pixels. Tiles need a cell for every {stride} pixels, rounded "
                "up."
            )
        return features[row.kept, column.kept]


@dataclass(frozen=True)
class TiledFeatures:
    """The patch features of one image, of which a row of tiles at a time is in memory.

    Attributes:
        resolutions: what each adds to the features.
        wanted: bool `[h, w]`, the cells that are needed; None for all.
    """

    resolutions: list[_Resolution]
    wanted: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """h, w and d."""
        first = self.resolutions[0]
        channels = sum(one.embedder.spec.channels for one in self.resolutions)
        return first.rows[-1].cells.stop, first.columns[-1].cells.stop, channels

    def within(self, wanted: np.ndarray) -> "TiledFeatures":
        """The same, of which only these cells, bool `[h, w]`, are needed."""
        parts = [replace(one, wanted=wanted, _band=[]) for one in self.resolutions]
        return TiledFeatures(parts, wanted)

    def blocks(self) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
        """The grid in blocks: rows and columns of each, and its features float32 `[n, m, d]`.

        Blocks without a cell that is wanted are left out.
        """
        edges = {span.cells.stop for one in self.resolutions for span in one.rows}
        for start, stop in pairwise(sorted({0, *edges})):
            for column in self.resolutions[0].columns:
                cells = slice(start, stop), column.cells
                if self.wanted is None or self.wanted[cells].any():
                    rows = [one.rows_of(start, stop) for one in self.resolutions]
                    yield cells, np.concatenate([r[:, column.cells] for r in rows], axis=-1)
                    del rows  # before the next row of tiles is made
        for one in self.resolutions:
            one.release_memory()

    def whole(self) -> np.ndarray:
        """All features, float32 `[h, w, d]`; NaN in cells that are not wanted."""
        features = np.full(self.shape, np.nan, np.float32)
        for cells, of_block in self.blocks():
            features[cells] = of_block
        if self.wanted is not None:
            features[~self.wanted] = np.nan
        return features

    def __getitem__(self, window: tuple[slice, slice] | tuple[int, int]) -> np.ndarray:
        """Features float32 `[n, m, d]` of a few rows and columns, or `[d]` of one cell.

        They are computed anew, by a tile around them.
        """
        rows, columns = (i if isinstance(i, slice) else slice(int(i), int(i) + 1) for i in window)
        h, w, _ = self.shape
        rows, columns = slice(*rows.indices(h)), slice(*columns.indices(w))
        parts = [one.around(rows, columns) for one in self.resolutions]
        features = np.concatenate(parts, axis=-1)
        return features if isinstance(window[0], slice) else np.asarray(features[0, 0])
