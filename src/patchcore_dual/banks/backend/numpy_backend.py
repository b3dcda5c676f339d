"""The compute backend by NumPy and Numba, for machines without PyTorch."""

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from patchcore_dual.banks.backend.compiled import compiled


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """See `Backend.product`."""
    return a @ b


def code_product(queries: np.ndarray, bank: np.ndarray, out: np.ndarray) -> None:
    """See `Backend.code_product`."""
    _code_product(queries, bank, out)


def thread_count() -> int:
    """See `Backend.thread_count`: one for each core, or as many as `NUMBA_NUM_THREADS` says."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def set_thread_count(count: int) -> None:
    """See `Backend.set_thread_count`: NumPy can only set this for all threads at once, to one.

    A search has threads of its own. Those of NumPy's library go on spinning after a product, and
    take half of the processor from the network that runs next.
    """
    threadpool_limits(1, user_api="blas")


# Products of two codes fit 16 bits. Narrow types throughout let the compiler use the processor's
# 16-bit multiply-and-add; four vectors of the bank at a time share the loads of a query's codes.


@compiled
def _code_product(queries: np.ndarray, bank: np.ndarray, out: np.ndarray) -> None:
    even = bank.shape[0] // 4 * 4
    for i in range(queries.shape[0]):
        query = queries[i]
        for j in range(0, even, 4):
            out[i, j], out[i, j + 1], out[i, j + 2], out[i, j + 3] = _four_dots(
                query, bank[j], bank[j + 1], bank[j + 2], bank[j + 3]
            )
        for j in range(even, bank.shape[0]):
            out[i, j] = _four_dots(query, bank[j], bank[j], bank[j], bank[j])[0]


@compiled
def _four_dots(
    query: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray
) -> tuple[np.int32, np.int32, np.int32, np.int32]:
    of_a, of_b, of_c, of_d = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    for k in range(np.int32(query.shape[0])):
        x = np.int16(query[k])
        of_a = np.int32(of_a + np.int32(x * np.int16(a[k])))
        of_b = np.int32(of_b + np.int32(x * np.int16(b[k])))
        of_c = np.int32(of_c + np.int32(x * np.int16(c[k])))
        of_d = np.int32(of_d + np.int32(x * np.int16(d[k])))
    return of_a, of_b, of_c, of_d
