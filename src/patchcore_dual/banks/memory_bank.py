"""`MemoryBank`: patch features, each with the image and the grid cell it came from (4.3.1)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from patchcore_dual.banks.search.exhaustive import ExhaustiveSearch, k_nearest
from patchcore_dual.banks.search.principal_axes import PrincipalAxes
from patchcore_dual.banks.search.pruned import PrunedSearch
from patchcore_dual.banks.search.queries import Queries
from patchcore_dual.banks.uninspected import marked, searchable

_SMALL = 1000  # vectors; up to here, exhaustive search is cheaper than preparing a pruned one
_FEW = 8192  # vectors; up to here, the nearest vector of every source is searched for in all


@dataclass(frozen=True)
class MemoryBank:
    """A set of patch features and where each came from; immutable.

    `D` below is the number of channels of a patch feature, `d` that of the bank's vectors: the same
    unless the bank is made of some channels only. Distances are Euclidean.

    Attributes:
        vectors: float32 `[n, d]`, finite.
        image: int32 `[n]`, the source of each vector, as an index into `sources`.
        cell: int32 `[n, 2]`, row and column in the feature grid of the whole image.
        sources: image names, each once, and each with at least one vector.
        channels: int64 `[d]`, the channels of a patch feature that the vectors are made of; None
            for all. Queries are whole patch features either way.

    >>> bank = MemoryBank(
    ...     vectors=np.array([[0, 0], [3, 4], [6, 8]], np.float32),
    ...     image=np.array([0, 0, 1], np.int32),
    ...     cell=np.array([[0, 0], [0, 1], [5, 2]], np.int32),
    ...     sources=("a.png", "b.png"),
    ... )
    >>> distance, index = bank.nearest(np.array([[3, 3], [6, 9]], np.float32))
    >>> distance
    array([1., 1.], dtype=float32)
    >>> [bank.source(i) for i in index]
    [('a.png', 0, 1), ('b.png', 5, 2)]
    >>> rest = bank.without(["a.png"])
    >>> rest.vectors
    array([[6., 8.]], dtype=float32)
    >>> len(MemoryBank.join([bank, rest]))
    4
    """

    vectors: np.ndarray
    image: np.ndarray
    cell: np.ndarray
    sources: tuple[str, ...]
    channels: np.ndarray | None = None

    def __len__(self) -> int:
        """The number of vectors."""
        return len(self.vectors)

    def nearest(self, queries: np.ndarray | Queries) -> tuple[np.ndarray, np.ndarray]:
        """The nearest vector of each patch.

        Args:
            queries: patch features float32 `[h, w, D]`, or `[q, D]` for patches that form no grid;
                or what `queries` made of them, of this bank or of another with the same channels.

        Returns:
            distance: float32 `[h, w]` or `[q]`, exact up to the rounding of single precision; NaN
                for a patch that is not inspected (but `Queries` do not know which these are).
            index: int64 of the same shape, indices into `vectors`.
        """
        prepared = self.queries(queries)
        if isinstance(prepared, Queries):
            distance, index = self.search_on(prepared.axes).nearest(prepared)
        else:
            own = searchable(self.own(prepared))
            distance, index = self._exhaustive.nearest(own.reshape(-1, own.shape[-1]))
            distance, index = distance.reshape(own.shape[:-1]), index.reshape(own.shape[:-1])
        return (distance if isinstance(queries, Queries) else marked(distance, queries)), index

    def queries(self, features: np.ndarray | Queries) -> np.ndarray | Queries:
        """Patch features prepared for searches in this bank and in others with the same channels.

        Args:
            features: float32 `[h, w, D]` or `[q, D]`, or queries that are prepared already.

        Returns:
            `Queries` on the bank's principal axes. The features unchanged where the bank is small,
            as exhaustive search needs no preparation.
        """
        if isinstance(features, Queries) or self.is_small:
            return features
        return Queries.of(searchable(self.own(features)), self._axes)

    @property
    def is_small(self) -> bool:
        """Whether the bank is searched exhaustively: it has at most 1,000 vectors."""
        return len(self) <= _SMALL

    def search_on(self, axes: PrincipalAxes) -> PrunedSearch:
        """The pruned search in this bank for queries on the given principal axes.

        The last one is kept, since most callers search on the same axes again and again.
        """
        if not self._search or self._search[0].axes is not axes:
            self._search[:] = [PrunedSearch(self.vectors, axes)]
        return self._search[0]

    @cached_property
    def _axes(self) -> PrincipalAxes:
        return PrincipalAxes.of(self.vectors)

    @cached_property
    def _search(self) -> list[PrunedSearch]:
        return []

    @cached_property
    def _exhaustive(self) -> ExhaustiveSearch:
        return ExhaustiveSearch(self.vectors)

    def own(self, features: np.ndarray) -> np.ndarray:
        """The bank's channels of patch features `[..., D]`, as `[..., d]`."""
        return features if self.channels is None else features[..., self.channels]

    def has_channels_of(self, other: "MemoryBank") -> bool:
        """Whether both banks are made of the same channels, so that they can share `queries`."""
        if self.channels is None or other.channels is None:
            return self.channels is other.channels
        return np.array_equal(self.channels, other.channels)

    def restricted(self, channels: np.ndarray | None) -> "MemoryBank":
        """The same bank with some of its channels only.

        Args:
            channels: int64 `[c]`, indices of channels of a bank made of all; None returns the bank
                unchanged.
        """
        if channels is None:
            return self
        return replace(
            self, vectors=np.ascontiguousarray(self.vectors[:, channels]), channels=channels
        )

    def neighbourhood(self, index: int, b: int) -> np.ndarray:
        """The `b` vectors nearest to one vector of the bank, N_b(m) of thesis 4.3.5.

        Args:
            index: the vector.
            b: how many; all vectors of a smaller bank.

        Returns:
            int64 `[min(b, n)]`, indices, nearest first. The vector itself is always the first, even
            where others are equal to it.
        """
        order = k_nearest(self.vectors[index], self.vectors, b + 1)
        return np.array([index, *order[order != index]][:b])

    def nearest_by_source(self, features: np.ndarray) -> np.ndarray:
        """The distance of each patch to the nearest vector of every source image.

        By matrix products: distances that are small beside the vectors' norms are inexact.

        Args:
            features: float32 `[h, w, D]`.

        Returns:
            float32 `[h, w, s]`, in the order of the s `sources`; NaN where not inspected.
        """
        own = searchable(self.own(features))
        h, w, d = own.shape
        search, starts = self._search_by_source
        by_source = [
            np.minimum.reduceat(squared, starts, axis=0)
            for squared in search.squared_distances(own.reshape(h * w, d))
        ]
        distance = np.sqrt(np.concatenate(by_source, axis=1).T).reshape(h, w, len(self.sources))
        return marked(distance, features)

    def nearest_sources(self, features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """As `nearest_by_source`, but exact only for the sources that are nearest to each patch.

        Much faster for a few patches and a large bank.

        Args:
            features: float32 `[h, w, D]`.
            count: how many near vectors of each patch to measure. Of a bank that is not much
                larger, all are.

        Returns:
            distance: float32 `[h, w, s]`, in the order of the s `sources`. A distance that does not
                exceed `limit` is exact; larger ones are upper bounds, or infinite.
            limit: float32 `[h, w]`.
        """
        if len(self) <= max(_FEW, 4 * count):
            return self.nearest_by_source(features), np.full(features.shape[:2], np.inf, np.float32)
        features = self.own(features)
        h, w, d = features.shape
        search = self._search[0] if self._search else self.search_on(self._axes)
        index, distance, limit = search.closest(features.reshape(h * w, d), count)
        by_source = np.full((h * w, len(self.sources)), np.inf, np.float32)
        np.minimum.at(by_source, (np.arange(h * w)[:, None], self.image[index]), distance)
        return by_source.reshape(h, w, -1), limit.reshape(h, w)

    @cached_property
    def _search_by_source(self) -> tuple[ExhaustiveSearch, np.ndarray]:
        """A search in the vectors sorted by source, and the position where each source starts."""
        order = np.argsort(self.image, kind="stable")
        starts = np.searchsorted(self.image[order], np.arange(len(self.sources)))
        return ExhaustiveSearch(self.vectors[order]), starts

    def of(self, source: str) -> np.ndarray:
        """The vectors float32 `[m, d]` that came from one image.

        Raises:
            ValueError: the bank has no vectors of an image of that name.
        """
        return self.vectors[self.image == self.sources.index(source)]

    def source(self, index: int) -> tuple[str, int, int]:
        """The image name, row and column of one vector."""
        row, column = self.cell[index]
        return self.sources[self.image[index]], int(row), int(column)

    def select(self, keep: np.ndarray) -> "MemoryBank":
        """The bank of some vectors; sources that have none left are dropped.

        Args:
            keep: indices of vectors, in the order that the new bank is to have; or bool `[n]`.
        """
        image, cell = self.image[keep], self.cell[keep]
        used, image = np.unique(image, return_inverse=True)
        sources = tuple(self.sources[i] for i in used)
        return MemoryBank(self.vectors[keep], image.astype(np.int32), cell, sources, self.channels)

    def without(self, sources: Collection[str]) -> "MemoryBank":
        """The bank without the vectors of the images named; other names are ignored."""
        removed = np.array([name in sources for name in self.sources], dtype=bool)
        return self.select(~removed[self.image])

    @classmethod
    def join(cls, banks: Sequence["MemoryBank"]) -> "MemoryBank":
        """One bank of all vectors of several, in order.

        Args:
            banks: at least one; all of the same channels. Images of the same name become one
                source.
        """
        sources = tuple(dict.fromkeys(name for bank in banks for name in bank.sources))
        position = {name: i for i, name in enumerate(sources)}
        image = [
            np.array([position[name] for name in bank.sources], dtype=np.int32)[bank.image]
            for bank in banks
        ]
        return cls(
            np.concatenate([bank.vectors for bank in banks]),
            np.concatenate(image),
            np.concatenate([bank.cell for bank in banks]),
            sources,
            banks[0].channels,
        )
