"""Exact nearest neighbours in Euclidean distance, by blocked matrix products."""

from collections.abc import Iterator

import numpy as np

from patchcore_dual.banks.backend.compute import get_backend

_BLOCK_BYTES = 64 * 2**20
_SAMPLED = 16  # one value in so many says which may be among the largest


class ExhaustiveSearch:
    """Compares every query with every vector.

    ‖a‖² + ‖b‖² − 2ab finds the neighbour but loses small distances to cancellation. The vectors'
    mean is taken off first, since patch features share a large common part, and the distance that
    is returned is computed again by direct difference.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        """`vectors`: float32 `[n, d]`, n at least 1."""
        self._vectors = vectors
        self._centre = vectors.mean(axis=0)
        self._centred = vectors - self._centre
        self._squared_norms = np.einsum("nd,nd->n", self._centred, self._centred)

    def nearest(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances float32 `[q]` and indices int64 `[q]` for queries float32 `[q, d]`."""
        indices = np.empty(len(queries), dtype=np.int64)
        for rows in self._blocks(len(queries)):
            indices[rows] = self._relative(queries[rows] - self._centre).argmin(axis=1)
        return np.linalg.norm(queries - self._vectors[indices], axis=1), indices

    def squared_distances(self, queries: np.ndarray) -> Iterator[np.ndarray]:
        """All squared distances, in blocks float32 `[n, b]` of queries, in order.

        Small ones may be off by cancellation.
        """
        for rows in self._blocks(len(queries)):
            centred = queries[rows] - self._centre
            squared = get_backend().product(self._centred, (-2 * centred).T)
            squared += self._squared_norms[:, None]
            squared += np.einsum("qd,qd->q", centred, centred)
            yield np.maximum(squared, 0, out=squared)

    def _blocks(self, count: int) -> Iterator[slice]:
        size = max(1, _BLOCK_BYTES // (4 * len(self._vectors)))
        return (slice(start, start + size) for start in range(0, count, size))

    def _relative(self, centred: np.ndarray) -> np.ndarray:
        """Squared distances less the queries' own squared norms, which do not matter to order."""
        squared = get_backend().product(-2 * centred, self._centred.T)
        squared += self._squared_norms
        return squared


def k_nearest(query: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    """Indices `[min(k, n)]` of the vectors nearest to one query `[d]`, nearest first.

    Equally near vectors come in the order of their indices.
    """
    distances = np.linalg.norm(vectors - query, axis=1)
    return np.argsort(distances, kind="stable")[:k]


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` largest of float32 `[n]`, in no order."""
    likely = np.arange(len(values))
    sample = values[::_SAMPLED]
    cut = len(sample) - 2 * count // _SAMPLED - 1  # twice their share: nearly always enough
    if cut > 0:
        above = np.flatnonzero(values >= np.partition(sample, cut)[cut])
        likely = above if len(above) >= count else likely
    cut = len(likely) - count
    return likely[np.argpartition(values[likely], cut)[cut:]] if cut else likely
