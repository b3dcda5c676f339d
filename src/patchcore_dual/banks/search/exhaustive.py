"""Exact nearest neighbours in Euclidean distance, by matrix products of all pairs."""

from collections.abc import Iterator

import numpy as np

from patchcore_dual.banks.backend.compute import get_backend

_BLOCK_BYTES = 64 * 2**20  # of one block of products
_SAMPLE_STRIDE = 16  # a threshold for the largest values is estimated from every sixteenth


class ExhaustiveSearch:
    """Search for nearest neighbours that compares every query with every vector.

    ‖a‖² + ‖b‖² − 2⟨a, b⟩ identifies the nearest vector, but loses small distances to cancellation.
    The mean of the vectors is therefore subtracted first, since patch features have a large
    component in common, and the distance returned is measured by direct difference.

    >>> search = ExhaustiveSearch(np.array([[0, 0], [3, 4], [6, 8]], np.float32))
    >>> distance, index = search.nearest(np.array([[3, 3], [6, 9]], np.float32))
    >>> distance
    array([1., 1.], dtype=float32)
    >>> index
    array([1, 2])
    """

    def __init__(self, vectors: np.ndarray) -> None:
        """`vectors`: float32 `[n, d]`, n at least 1."""
        self._vectors = vectors
        self._mean = vectors.mean(axis=0)
        self._centred = vectors - self._mean
        self._squared_norms = np.einsum("nd,nd->n", self._centred, self._centred)

    def nearest(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest vector of each query.

        Args:
            queries: float32 `[q, d]`.

        Returns:
            Distances float32 `[q]` and indices int64 `[q]`. Which of several equally near vectors
            is found depends on rounding.
        """
        indices = np.empty(len(queries), dtype=np.int64)
        for rows in self._blocks(len(queries)):
            indices[rows] = self._relative(queries[rows] - self._mean).argmin(axis=1)
        return np.linalg.norm(queries - self._vectors[indices], axis=1), indices

    def squared_distances(self, queries: np.ndarray) -> Iterator[np.ndarray]:
        """All squared distances of queries float32 `[q, d]`, by blocks of queries in order.

        Yields:
            float32 `[n, b]`, of all vectors to the next b queries. By matrix products: small values
            may be off by cancellation.
        """
        for rows in self._blocks(len(queries)):
            centred = queries[rows] - self._mean
            squared = get_backend().product(self._centred, (-2 * centred).T)
            squared += self._squared_norms[:, None]
            squared += np.einsum("qd,qd->q", centred, centred)
            yield np.maximum(squared, 0, out=squared)

    def _blocks(self, count: int) -> Iterator[slice]:
        size = max(1, _BLOCK_BYTES // (4 * len(self._vectors)))
        return (slice(start, start + size) for start in range(0, count, size))

    def _relative(self, centred: np.ndarray) -> np.ndarray:
        """Squared distances without the queries' squared norms, which do not affect the order."""
        squared = get_backend().product(-2 * centred, self._centred.T)
        squared += self._squared_norms
        return squared


def k_nearest(query: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    """The k vectors nearest to one query, nearest first.

    Args:
        query: float32 `[d]`.
        vectors: float32 `[n, d]`.
        k: how many; all where n is smaller.

    Returns:
        int64 `[min(k, n)]`, indices of the vectors; equally near ones in ascending order.

    >>> vectors = np.array([[5], [1], [-1], [0]], np.float32)
    >>> k_nearest(np.zeros(1, np.float32), vectors, 3)
    array([3, 1, 2])
    """
    distances = np.linalg.norm(vectors - query, axis=1)
    return np.argsort(distances, kind="stable")[:k]


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """The indices of the `count` largest of float32 `[n]`, in no particular order.

    A sample gives a threshold that nearly always leaves enough values, so few have to be sorted.
    """
    likely = np.arange(len(values))
    sample = values[::_SAMPLE_STRIDE]
    cut = len(sample) - 2 * count // _SAMPLE_STRIDE - 1  # twice as many as are needed, on average
    if cut > 0:
        above = np.flatnonzero(values >= np.partition(sample, cut)[cut])
        likely = above if len(above) >= count else likely
    cut = len(likely) - count
    return likely[np.argpartition(values[likely], cut)[cut:]] if cut else likely
