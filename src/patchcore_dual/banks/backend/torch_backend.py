"""The compute backend by PyTorch, and the only file of `banks` that imports it.

NumPy has threads of its own, which go on spinning for a while after each product. Where products
and a network in PyTorch take turns, they halve the network's speed; PyTorch's own threads do not.
"""

import numpy as np
import torch


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """See `Backend.product`."""
    return (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()


def code_product(queries: np.ndarray, bank: np.ndarray, out: np.ndarray) -> None:
    """See `Backend.code_product`."""
    torch._int_mm(torch.from_numpy(queries), torch.from_numpy(bank).t(), out=torch.from_numpy(out))


def thread_count() -> int:
    """See `Backend.thread_count`: as many as PyTorch uses."""
    return torch.get_num_threads()


def set_thread_count(count: int) -> None:
    """See `Backend.set_thread_count`. Threads that start later take this count over."""
    # A thread's first use of PyTorch would otherwise reset its count to that of the process.
    torch.get_num_threads()
    torch.set_num_threads(count)
