"""The compute backend by PyTorch, and the only file of `banks` that imports it.

NumPy has threads of its own, which go on spinning for a while after each product. Where products
and a network in PyTorch take turns, they halve the network's speed; PyTorch's own threads do not.
"""

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from patchcore_dual.banks.backend import numpy_backend


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """See `Backend.product`."""
    return (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()


def code_product(queries: np.ndarray, bank: np.ndarray, out: np.ndarray) -> None:
    """See `Backend.code_product`. The results are exact, so the faster way is taken."""
    if _is_fast():
        _int_mm(queries, bank, out)
    else:
        numpy_backend.code_product(queries, bank, out)


def _int_mm(queries: np.ndarray, bank: np.ndarray, out: np.ndarray) -> None:
    torch._int_mm(torch.from_numpy(queries), torch.from_numpy(bank).t(), out=torch.from_numpy(out))


@lru_cache(maxsize=1)
def _is_fast() -> bool:
    """Whether PyTorch multiplies codes faster than the compiled loop on this processor.

    It does with 8-bit dot products (AVX-512 VNNI and the like), several times; without them it is
    ten times slower and more. Both are timed once, in some ten milliseconds.
    """
    queries, bank = np.ones((128, 128), np.int8), np.ones((256, 128), np.int8)
    out = np.empty((128, 256), np.int32)

    def seconds(function: Callable[[np.ndarray, np.ndarray, np.ndarray], None]) -> float:
        function(queries, bank, out)  # compiles, or loads what was compiled
        times = []
        for _ in range(3):
            started = time.perf_counter()
            function(queries, bank, out)
            times.append(time.perf_counter() - started)
        return min(times)

    return seconds(_int_mm) < seconds(numpy_backend.code_product)


def thread_count() -> int:
    """See `Backend.thread_count`: as many as PyTorch uses."""
    return torch.get_num_threads()


def set_thread_count(count: int) -> None:
    """See `Backend.set_thread_count`. Threads that start later take this count over."""
    # A thread's first use of PyTorch would otherwise reset its count to that of the process.
    torch.get_num_threads()
    torch.set_num_threads(count)
