"""Compiled loops that estimate and bound inner products from products of codes."""

import numpy as np

from patchcore_dual.banks.backend.compiled import compiled


@compiled
def _scaled(
    out: np.ndarray, products: np.ndarray, scale: np.float32, scales: np.ndarray, plus: np.ndarray
) -> None:
    for j in range(out.shape[0]):
        out[j] = np.float32(products[j]) * scale * scales[j] + plus[j]


@compiled
def _count_passing(
    products: np.ndarray,
    scale: np.float32,
    scales: np.ndarray,
    plus: np.ndarray,
    limit: np.float32,
) -> np.int32:
    count = np.int32(0)
    for j in range(products.shape[0]):
        count += np.int32(np.float32(products[j]) * scale * scales[j] + plus[j] > limit)
    return count


@compiled
def scaled_products(
    out: np.ndarray, products: np.ndarray, scale: np.ndarray, scales: np.ndarray, plus: np.ndarray
) -> None:
    """Write `products[g] · scale[g] · scales + plus` to `out[g]`.

    Args:
        out: float32 `[g, n]`, filled in place.
        products: int32 `[g, n]`, inner products of codes.
        scale: float32 `[g]`, of the queries' codes.
        scales, plus: float32 `[n]`, the scales of the vectors' codes, and a term of each vector.
    """
    for g in range(out.shape[0]):
        _scaled(out[g], products[g], scale[g], scales, plus)


@compiled
def keep_largest(
    products: np.ndarray,
    scale: np.ndarray,
    scales: np.ndarray,
    plus: np.ndarray,
    first: int,
    largest: np.ndarray,
    where: np.ndarray,
) -> None:
    """Update each row's largest estimate with one more block of vectors.

    Estimates are those of `scaled_products`.

    Args:
        products, scale, scales, plus: as there.
        first: the index of the block's first vector.
        largest, where: float32 and int64 `[g]`, updated in place: the largest estimate so far, and
            the index of its vector. Of equal estimates, the first counts.
    """
    estimate = np.empty(products.shape[1], np.float32)
    for g in range(products.shape[0]):
        if _count_passing(products[g], scale[g], scales, plus, largest[g]) == 0:
            continue
        _scaled(estimate, products[g], scale[g], scales, plus)
        for j in range(estimate.shape[0]):
            if estimate[j] > largest[g]:
                largest[g] = estimate[j]
                where[g] = first + j


@compiled
def _add_block(
    bound: np.ndarray,
    products: np.ndarray,
    scale: np.float32,
    scales: np.ndarray,
    margin: np.float32,
    norms: np.ndarray,
) -> None:
    for j in range(bound.shape[0]):
        bound[j] += np.float32(products[j]) * scale * scales[j] + margin * norms[j]


@compiled
def add_block(
    bound: np.ndarray,
    products: np.ndarray,
    scale: np.ndarray,
    scales: np.ndarray,
    margin: np.ndarray,
    norms: np.ndarray,
    rows: tuple[int, int],
) -> None:
    """Add the terms of one block of axes to bounds on inner products.

    Args:
        bound: float32 `[q, n]`, updated in place.
        products, scale, scales: as in `scaled_products`.
        margin, norms: float32 `[q]` and `[n]`, whose product is the error margin of a pair.
        rows: the first row of `bound` to update, and the end.
    """
    for i in range(rows[0], rows[1]):
        _add_block(bound[i], products[i], scale[i], scales, margin[i], norms)
