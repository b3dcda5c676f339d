"""Eight-bit codes of vectors, whose inner products cost a quarter of those of floats or less.

A row x is written as s·c with integers c of at most 8 bits. Inner products of codes are exact, in
32-bit integers; what a code leaves out is known by its norm, so bounds can account for it.
"""

from functools import lru_cache

import numpy as np
import torch

LEVELS = 127  # the largest code of a query


def encode(x: np.ndarray, levels: int = LEVELS) -> tuple[np.ndarray, np.ndarray]:
    """Codes int8 `[n, d]` and scales float32 `[n]`, so that `x ≈ codes · scales[:, None]`."""
    scales = np.abs(x).max(axis=1, initial=0) / np.float32(levels)
    rounded = np.divide(x, scales[:, None], out=np.zeros_like(x), where=scales[:, None] > 0)
    return np.rint(rounded, out=rounded).astype(np.int8), scales


@lru_cache(maxsize=1)
def bank_levels() -> int:
    """The largest code that a bank may use on this processor: 127, or 63.

    Processors without 8-bit dot products add pairs in 16 bits and may overflow there: 255 · 63 · 2
    does not.
    """
    queries = torch.full((8, 64), LEVELS, dtype=torch.int8)
    bank = torch.full((16, 64), LEVELS, dtype=torch.int8)
    found = torch._int_mm(queries, bank.t()), torch._int_mm(-queries, bank.t())
    exact = 64 * LEVELS * LEVELS
    return LEVELS if (found[0] == exact).all() and (found[1] == -exact).all() else 63


def code_products(queries: torch.Tensor, bank: torch.Tensor, out: torch.Tensor) -> None:
    """Inner products int32 `[q, n]` of codes int8 `[q, d]` and, transposed, `[d, n]`; d above 1."""
    torch._int_mm(queries, bank, out=out)
