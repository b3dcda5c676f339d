"""`MemoryBank`: patch features and where each came from (thesis 4.3.1)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from patchcore_dual.banks.search.exhaustive import ExhaustiveSearch, k_nearest
from patchcore_dual.banks.search.principal_axes import PrincipalAxes
from patchcore_dual.banks.search.pruned import PrunedSearch
from patchcore_dual.banks.search.queries import Queries

_SMALL = 1000  # vectors up to which comparing every pair is cheaper than preparing not to
_FEW = 8192  # vectors up to which the nearest of each source are looked for in all


@dataclass(frozen=True)
class MemoryBank:
    """Vectors with the image and the grid cell of each.

    Attributes:
        vectors: float32 `[n, d]`.
        image: int32 `[n]`, index into `sources`.
        cell: int32 `[n, 2]`, row and column in the feature grid of the whole image.
        sources: image names, each once.
        channels: int64 `[d]`, which channels of a patch feature the vectors are made of; None for
            all. Queries are whole patch features either way.
    """

    vectors: np.ndarray
    image: np.ndarray
    cell: np.ndarray
    sources: tuple[str, ...]
    channels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(self, queries: np.ndarray | Queries) -> tuple[np.ndarray, np.ndarray]:
        """Distance and index of each query's nearest vector.

        Args:
            queries: patch features float32 `[h, w, D]`, or `[q, D]` of no grid; or what `queries`
                of a bank with the same channels made of them.

        Returns:
            float32 and int64 of the queries' shape, `[h, w]` or `[q]`.
        """
        prepared = self.queries(queries)
        if isinstance(prepared, Queries):
            return self.search_on(prepared.axes).nearest(prepared)
        own = self.own(prepared)
        distance, index = self._exhaustive.nearest(own.reshape(-1, own.shape[-1]))
        return distance.reshape(own.shape[:-1]), index.reshape(own.shape[:-1])

    def queries(self, features: np.ndarray | Queries) -> np.ndarray | Queries:
        """Patch features made ready to be searched for, in this bank and in others like it.

        As they are where the bank is small.
        """
        if isinstance(features, Queries) or self.is_small:
            return features
        return Queries.of(self.own(features), self._axes)

    @property
    def is_small(self) -> bool:
        """Whether every pair is compared."""
        return len(self) <= _SMALL

    def search_on(self, axes: PrincipalAxes) -> PrunedSearch:
        """The search for queries on these axes; the last one is kept."""
        if not self._search or self._search[0].axes is not axes:
            self._search[:] = [PrunedSearch(self.vectors, axes)]
        return self._search[0]

    @cached_property
    def _axes(self) -> PrincipalAxes:
        return PrincipalAxes.of(self.vectors)

    @cached_property
    def _search(self) -> list[PrunedSearch]:
        return []

    def own(self, features: np.ndarray) -> np.ndarray:
        """The bank's channels of patch features `[..., D]`."""
        return features if self.channels is None else features[..., self.channels]

    def has_channels_of(self, other: "MemoryBank") -> bool:
        """Whether both are made of the same channels, so that `queries` of one serve the other."""
        if self.channels is None or other.channels is None:
            return self.channels is other.channels
        return np.array_equal(self.channels, other.channels)

    def restricted(self, channels: np.ndarray | None) -> "MemoryBank":
        """The bank of only these channels; None leaves it whole."""
        if channels is None:
            return self
        return replace(
            self, vectors=np.ascontiguousarray(self.vectors[:, channels]), channels=channels
        )

    @cached_property
    def _exhaustive(self) -> ExhaustiveSearch:
        return ExhaustiveSearch(self.vectors)

    def neighbourhood(self, index: int, b: int) -> np.ndarray:
        """Indices of the `b` vectors nearest to vector `index`, itself first among equals."""
        order = k_nearest(self.vectors[index], self.vectors, b + 1)
        return np.array([index, *order[order != index]][:b])

    def nearest_by_source(self, features: np.ndarray) -> np.ndarray:
        """Distance of each patch to the nearest vector of every source image.

        Args:
            features: float32 `[h, w, D]`.

        Returns:
            float32 `[h, w, len(sources)]`, in the order of `sources`.
        """
        features = self.own(features)
        h, w, d = features.shape
        search, starts = self._search_by_source
        by_source = [
            np.minimum.reduceat(squared, starts, axis=0)
            for squared in search.squared_distances(features.reshape(h * w, d))
        ]
        return np.sqrt(np.concatenate(by_source, axis=1).T).reshape(h, w, len(self.sources))

    def nearest_sources(self, features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """`nearest_by_source` of a few patches, for the sources that are nearest to each.

        Args:
            features: float32 `[h, w, D]`.
            count: how many vectors near each patch to measure; all of a bank not much larger.

        Returns:
            float32 `[h, w, len(sources)]`, and float32 `[h, w]`: distances up to the second are
            those of `nearest_by_source`, larger ones may be too large.
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
        """The vectors sorted by source, and where each source's begin."""
        order = np.argsort(self.image, kind="stable")
        starts = np.searchsorted(self.image[order], np.arange(len(self.sources)))
        return ExhaustiveSearch(self.vectors[order]), starts

    def of(self, source: str) -> np.ndarray:
        """The vectors `[m, d]` that came from one image."""
        return self.vectors[self.image == self.sources.index(source)]

    def source(self, index: int) -> tuple[str, int, int]:
        """Image name, row and column of one vector."""
        row, column = self.cell[index]
        return self.sources[self.image[index]], int(row), int(column)

    def select(self, keep: np.ndarray) -> "MemoryBank":
        """The bank of the vectors that `keep` (indices or booleans `[n]`) names."""
        image, cell = self.image[keep], self.cell[keep]
        used, image = np.unique(image, return_inverse=True)
        sources = tuple(self.sources[i] for i in used)
        return MemoryBank(self.vectors[keep], image.astype(np.int32), cell, sources, self.channels)

    def without(self, sources: Collection[str]) -> "MemoryBank":
        """The bank without the vectors of the images named."""
        gone = np.array([name in sources for name in self.sources], dtype=bool)
        return self.select(~gone[self.image])

    @classmethod
    def join(cls, banks: Sequence["MemoryBank"]) -> "MemoryBank":
        """One bank of several, in order. Images of the same name become one source."""
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
