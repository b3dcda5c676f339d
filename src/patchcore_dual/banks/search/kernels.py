"""Compiled inner loops of the pruned search: bounds and exact distances.

Loops over one row are functions of their own, since those are what the compiler turns into vector
instructions. Arrays named `out`, `best`, `index` and the like are updated in place.
"""

from typing import NamedTuple

import numpy as np

from patchcore_dual.banks.backend.compiled import compiled

_WORD = 8  # flags, one byte each, that are read as one integer
_LINE = 8  # words that are tested together
_BATCH = 1024  # words with flags set, about, that are collected before their pairs are bounded
_HALF = np.float32(0.5)


class CodeProducts(NamedTuple):
    """Inner products of some queries with the `n` vectors of one block of the bank.

    Attributes:
        leading: int32 `[r, n]`, of the queries' codes in the leading axes, n divisible by 64.
        second: int32 `[tiles, n]`, of the tiles' codes in the second block of axes.
        remainder: float32 `[large tiles, n]`, all terms of the bound that a large tile has in
            common: the products in the remaining dimensions, -‖m‖²/2 and the allowance for
            rounding.
    """

    leading: np.ndarray
    second: np.ndarray
    remainder: np.ndarray


class QueryArrays(NamedTuple):
    """What the bounds need to know of all `q` queries of an image.

    Attributes:
        patches: float32 `[q, d]`, the queries themselves.
        tile: int64 `[q]`, each query's row of `CodeProducts.second`.
        large_tile: int64 `[tiles]`, the row of `CodeProducts.remainder` for each of those rows.
        leading_scales: float32 `[q]`, of the codes in the leading axes.
        second_scales: float32 `[tiles]`, of the tiles' codes in the second block.
        required: float32 `[q]`, ‖q‖²/2 less an allowance for rounding: only a vector whose bound
            reaches `required - best / 2` can be nearer than the squared distance `best`.
        margins: float32 `[3, q]`, the factors of a vector's norm in each block of axes that make up
            the error margin there.
        correction_codes: int8 `[q, d2]`, of each query's difference from its tile's proxy in the
            second block.
        correction_scales: float32 `[q]`.
        corrected_margins: float32 `[q]`, in place of `margins[1]` once that difference is included.
    """

    patches: np.ndarray
    tile: np.ndarray
    large_tile: np.ndarray
    leading_scales: np.ndarray
    second_scales: np.ndarray
    required: np.ndarray
    margins: np.ndarray
    correction_codes: np.ndarray
    correction_scales: np.ndarray
    corrected_margins: np.ndarray


class BankBlock(NamedTuple):
    """One block of `n` vectors of the bank.

    Attributes:
        vectors: float32 `[N, d]`, all vectors of the bank.
        first: the index of the block's first vector.
        leading_scales, second_scales: float32 `[n]`, of the codes in the first two blocks of axes.
        norms: float32 `[3, n]`, of the vectors in each block of axes.
        second_codes: int8 `[n, d2]`.
    """

    vectors: np.ndarray
    first: int
    leading_scales: np.ndarray
    second_scales: np.ndarray
    norms: np.ndarray
    second_codes: np.ndarray


@compiled
def squared_distance(a, b):
    """Of two vectors float32 `[d]`, by direct difference."""
    total = np.float32(0)
    for k in range(a.shape[0]):
        difference = a[k] - b[k]
        total += difference * difference
    return total


@compiled
def _dot(a, b):
    """Of two int8 codes. Types are narrow throughout, or it is not turned into vector code."""
    total = np.int32(0)
    for k in range(np.int32(a.shape[0])):
        total = np.int32(total + np.int32(np.int16(a[k]) * np.int16(b[k])))
    return total


@compiled
def _with_margins(out, products, scale, scales, plus, w0, norms0, w1, norms1, w2, norms2):
    for j in range(out.shape[0]):
        margin = w0 * norms0[j] + w1 * norms1[j] + w2 * norms2[j]
        out[j] = np.float32(products[j]) * scale * scales[j] + plus[j] + margin


@compiled
def _flag_passing(flags, products, scale, scales, plus, limit):
    for j in range(flags.shape[0]):
        flags[j] = np.float32(products[j]) * scale * scales[j] + plus[j] >= limit


@compiled
def try_candidates(candidates, queries, vectors, rows, best, index):
    """Update each query's nearest vector with its few candidates, for rows `rows[0]` to `rows[1]`.

    Args:
        candidates: int64 `[q, c]`, indices of vectors; -1 for none.
        queries, vectors: float32 `[q, d]` and `[N, d]`.
        rows: the first row and the end.
        best, index: float32 and int64 `[q]`, squared distance and index of the nearest vector. Of
            equally near vectors, the one with the smallest index is kept.
    """
    for i in range(rows[0], rows[1]):
        for m in candidates[i]:
            if m >= 0 and m != index[i]:
                squared = squared_distance(queries[i], vectors[m])
                if squared < best[i] or (squared == best[i] and m < index[i]):
                    best[i] = squared
                    index[i] = m


@compiled
def measure(candidates, queries, vectors, rows, distances):
    """Write the distance of each query to each of its candidates, both `[q, c]`."""
    for i in range(rows[0], rows[1]):
        for c in range(candidates.shape[1]):
            distances[i, c] = np.sqrt(squared_distance(queries[i], vectors[candidates[i, c]]))


@compiled
def _any(words):
    union = words[0]
    for k in range(1, _LINE):
        union |= words[k]
    return union != 0


@compiled
def _list_flagged(pairs, positions, words):
    """Write the positions of all flags that are set to `pairs`, and return how many there are.

    `positions` are those of the words, each of eight flags. A word's first flag is its lowest byte:
    the processor has to be little endian.
    """
    count = 0
    for f in range(positions.shape[0]):
        word = words[f]
        for k in range(_WORD):
            pairs[count] = _WORD * positions[f] + k
            count += (word & np.uint64(1)) != 0
            word >>= np.uint64(8)
    return count


@compiled
def prune_and_measure(products, rows, queries, block, best, index, max_survivors):
    """Compare some queries with one block of the bank; measure only pairs that can be nearest.

    Two bounds rule pairs out. The first uses the largest error margins of the query's tile, so the
    margins are added only once per tile. Few pairs survive it and which ones is unpredictable, so
    they are collected without branches. The second bound of these survivors, computed in batches,
    includes the query's own margins and its difference from the tile's proxy. Pairs that survive
    this bound, too, are measured.

    Args:
        products: `CodeProducts` of these queries and the block.
        rows: int64 `[r]`, which queries these are; those of one tile are consecutive.
        queries: `QueryArrays` of all queries.
        block: the `BankBlock`.
        best, index: float32 and int64 `[q]`, squared distance and index of each query's nearest
            vector so far. Of equally near vectors, the one with the smallest index is kept.
        max_survivors: how many pairs may survive the first bound.

    Returns:
        How many rows were finished: r; or fewer, where there were more survivors than allowed.
        Nothing is updated for the rows after those.
    """
    n = products.leading.shape[1]
    norms0, norms1, norms2 = block.norms[0], block.norms[1], block.norms[2]
    of_tile, widest = np.empty(n, np.float32), np.empty(3, np.float32)
    flags = np.empty(n, np.uint8)
    words = flags.view(np.uint64)
    positions = np.empty(_BATCH + words.shape[0], np.int64)
    flagged = np.empty(positions.shape[0], np.uint64)
    pairs = np.empty(_WORD * positions.shape[0], np.int64)
    current_tile, count, survivors, finished = -1, 0, 0, 0
    for r in range(rows.shape[0]):
        i = rows[r]
        tile = queries.tile[i]
        if tile != current_tile:
            current_tile = tile
            widest[:] = 0
            for s in range(r, rows.shape[0]):
                if queries.tile[rows[s]] != tile:
                    break
                for k in range(3):
                    widest[k] = max(widest[k], queries.margins[k, rows[s]])
            _with_margins(
                of_tile,
                products.second[tile],
                queries.second_scales[tile],
                block.second_scales,
                products.remainder[queries.large_tile[tile]],
                widest[0],
                norms0,
                widest[1],
                norms1,
                widest[2],
                norms2,
            )
        limit = queries.required[i] - _HALF * best[i]
        _flag_passing(
            flags,
            products.leading[r],
            queries.leading_scales[i],
            block.leading_scales,
            of_tile,
            limit,
        )
        for line in range(0, words.shape[0], _LINE):
            if not _any(words[line : line + _LINE]):
                continue
            for word in range(line, line + _LINE):
                positions[count] = r * words.shape[0] + word
                flagged[count] = words[word]
                count += words[word] != 0
        if count < _BATCH and r + 1 < rows.shape[0]:
            continue
        found = _list_flagged(pairs, positions[:count], flagged)
        survivors += found
        if survivors > max_survivors:
            return finished
        kept = 0
        for pair in pairs[:found]:
            s, j = divmod(pair, n)
            i = rows[s]
            tile = queries.tile[i]
            correction = np.float32(_dot(queries.correction_codes[i], block.second_codes[j]))
            bound = np.float32(products.second[tile, j]) * queries.second_scales[tile]
            bound += correction * queries.correction_scales[i]
            bound = bound * block.second_scales[j] + products.remainder[queries.large_tile[tile], j]
            leading = np.float32(products.leading[s, j]) * queries.leading_scales[i]
            bound += leading * block.leading_scales[j]
            bound += queries.margins[0, i] * norms0[j] + queries.corrected_margins[i] * norms1[j]
            bound += queries.margins[2, i] * norms2[j]
            pairs[kept] = pair
            kept += bound >= queries.required[i] - _HALF * best[i]
        for pair in pairs[:kept]:
            s, j = divmod(pair, n)
            i, m = rows[s], block.first + j
            squared = squared_distance(queries.patches[i], block.vectors[m])
            if squared < best[i] or (squared == best[i] and m < index[i]):
                best[i] = squared
                index[i] = m
        finished, count = r + 1, 0
    return rows.shape[0]


@compiled
def prune_by_products(products, plus, rows, queries, block, best, index):
    """As `prune_and_measure`, by inner products float32 `[r, n]` in full in place of bounds.

    `plus`: float32 `[n]`, -‖m‖²/2 and the allowance for rounding.
    """
    for r in range(rows.shape[0]):
        i = rows[r]
        row = products[r]
        for j in range(row.shape[0]):
            if row[j] + plus[j] >= queries.required[i] - _HALF * best[i]:
                m = block.first + j
                squared = squared_distance(queries.patches[i], block.vectors[m])
                if squared < best[i] or (squared == best[i] and m < index[i]):
                    best[i] = squared
                    index[i] = m
