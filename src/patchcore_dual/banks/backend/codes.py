"""8-bit codes of vectors, whose inner products cost a quarter of those of floats or less.

A row x is written as s·c: a scale s times integers c of at most 8 bits. Inner products of codes are
exact in 32-bit integers, and the norm of the quantisation error x − s·c is known, so a bound can
account for it.
"""

from functools import lru_cache

import numpy as np

from patchcore_dual.banks.backend.compute import get_backend

LEVELS = 127  # the largest code of a query


def encode(x: np.ndarray, levels: int = LEVELS) -> tuple[np.ndarray, np.ndarray]:
    """Quantise each row symmetrically, by its own scale.

    Args:
        x: float32 `[n, d]`.
        levels: the largest code, at most 127.

    Returns:
        Codes int8 `[n, d]` and scales float32 `[n]`, with `x ≈ codes * scales[:, None]` to half a
        scale in every entry. A row of zeros has scale 0.

    >>> codes, scales = encode(np.array([[0.5, -1.0, 0.25]], np.float32), levels=4)
    >>> codes
    array([[ 2, -4,  1]], dtype=int8)
    >>> scales
    array([0.25], dtype=float32)
    """
    scales = np.abs(x).max(axis=1, initial=0) / np.float32(levels)
    rounded = np.divide(x, scales[:, None], out=np.zeros_like(x), where=scales[:, None] > 0)
    return np.rint(rounded, out=rounded).astype(np.int8), scales


@lru_cache(maxsize=1)
def bank_levels() -> int:
    """The largest code of a bank's vectors for which products are exact here: 127, or 63.

    PyTorch on processors without 8-bit dot products adds pairs of products in 16 bits, where two of
    255 · 127 overflow. Two of 255 · 63 do not.
    """
    queries, bank = (np.full((n, 64), LEVELS, np.int8) for n in (8, 16))
    exact = 64 * LEVELS * LEVELS
    for sign in (1, -1):
        products = np.empty((8, 16), np.int32)
        get_backend().code_product(sign * queries, bank, products)
        if (products != sign * exact).any():
            return 63
    return LEVELS
