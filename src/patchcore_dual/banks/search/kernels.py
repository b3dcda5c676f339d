"""Compiled inner loops of the pruned search.

Numba compiles them at first use and keeps the result on disk. They release the interpreter lock, so
that threads can share the work. The loops over one row are functions of their own, since those are
what the compiler turns into vector instructions.
"""

import numpy as np

from patchcore_dual.banks.backend.compiled import compiled

_WORD = 8  # flags that are looked at together
_LINE = 8  # words of flags that are looked at together
_NOTED = 1024  # words with flags set that are gathered, about, before their pairs are looked at
_HALF = np.float32(0.5)


@compiled
def squared_distance(a, b):
    total = np.float32(0)
    for k in range(a.shape[0]):
        difference = a[k] - b[k]
        total += difference * difference
    return total


@compiled
def _dot(a, b):
    """Of int8 codes. Narrow types throughout, or no vector instructions are found for it."""
    total = np.int32(0)
    for k in range(np.int32(a.shape[0])):
        total = np.int32(total + np.int32(np.int16(a[k]) * np.int16(b[k])))
    return total


@compiled
def _scaled(out, products, scale, scales, plus):
    for j in range(out.shape[0]):
        out[j] = np.float32(products[j]) * scale * scales[j] + plus[j]


@compiled
def _with_margins(out, products, scale, scales, plus, w0, norms0, w1, norms1, w2, norms2):
    for j in range(out.shape[0]):
        margin = w0 * norms0[j] + w1 * norms1[j] + w2 * norms2[j]
        out[j] = np.float32(products[j]) * scale * scales[j] + plus[j] + margin


@compiled
def _count_passing(products, scale, scales, plus, limit):
    count = np.int32(0)
    for j in range(products.shape[0]):
        count += np.int32(np.float32(products[j]) * scale * scales[j] + plus[j] > limit)
    return count


@compiled
def _flag_passing(flags, products, scale, scales, plus, limit):
    for j in range(flags.shape[0]):
        flags[j] = np.float32(products[j]) * scale * scales[j] + plus[j] >= limit


@compiled
def scaled_products(out, products, scale, scales, plus):
    """`out[g] = products[g] · scale[g] · scales + plus`, products int32 `[g, n]`."""
    for g in range(out.shape[0]):
        _scaled(out[g], products[g], scale[g], scales, plus)


@compiled
def keep_largest(products, scale, scales, plus, first, largest, where):
    """Bring each row's largest estimate, and its column, up to date with one more block."""
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
def _add_block(bound, products, scale, scales, margin, norms):
    for j in range(bound.shape[0]):
        bound[j] += np.float32(products[j]) * scale * scales[j] + margin * norms[j]


@compiled
def add_block(bound, products, scale, scales, margin, norms, rows):
    """Add one block of axes to bounds `[q, n]` on inner products, for some rows."""
    for i in range(rows[0], rows[1]):
        _add_block(bound[i], products[i], scale[i], scales, margin[i], norms)


@compiled
def try_candidates(candidates, queries, vectors, rows, best, index):
    """Measure each query's few candidates (−1 for none); keep the nearest, the first of equals."""
    for i in range(rows[0], rows[1]):
        for m in candidates[i]:
            if m >= 0 and m != index[i]:
                squared = squared_distance(queries[i], vectors[m])
                if squared < best[i] or (squared == best[i] and m < index[i]):
                    best[i] = squared
                    index[i] = m


@compiled
def measure(candidates, queries, vectors, rows, distances):
    """Distance of each query to each of its candidates, all `[q, c]`."""
    for i in range(rows[0], rows[1]):
        for c in range(candidates.shape[1]):
            distances[i, c] = np.sqrt(squared_distance(queries[i], vectors[candidates[i, c]]))


@compiled
def _any(words):
    some = words[0]
    for k in range(1, _LINE):
        some |= words[k]
    return some != 0


@compiled
def _list_flagged(pairs, place, words):
    """Positions of flags that are set, of words of eight at these places; how many.

    A word's first flag is its lowest byte: the processor has to be little endian.
    """
    found = 0
    for f in range(place.shape[0]):
        word = words[f]
        for k in range(_WORD):
            pairs[found] = _WORD * place[f] + k
            found += (word & np.uint64(1)) != 0
            word >>= np.uint64(8)
    return found


@compiled
def sift(
    lead,
    middle,
    rest,
    rows,
    queries,
    tile_of,
    rest_of,
    scale,
    tile_scale,
    need,
    weights,
    deviation,
    deviation_scale,
    own_weight,
    vectors,
    first,
    scales,
    middle_scales,
    norms,
    middle_codes,
    best,
    index,
    allowed,
):
    """Compare some queries with one block of the bank; measure only pairs that the bound leaves.

    The first bound takes the widest margins in a query's tile, so that they are added once a tile.
    Few pairs pass, and which, a processor cannot predict: they are noted without a branch for each.
    When many are noted they are bounded again, with their own margins, and those left are measured.

    Args:
        lead: int32 `[r, n]`, products of the leading codes of `r` queries, n divisible by 64;
            `middle` int32 `[tiles, n]`, of the tiles' codes in the second block; `rest` float32
            `[large tiles, n]`, all else: products in what is left, −‖m‖²/2, the slack for rounding.
        rows: int64 `[r]`, which queries those are; tiles together.
        queries, vectors: float32 `[q, d]` and `[N, d]`, to measure what is left.
        tile_of, rest_of: int64 `[q]` and `[tiles]`, each query's row of `middle`, and of that row
            the row of `rest`.
        scale, tile_scale, scales, middle_scales: float32 `[q]`, `[tiles]`, `[n]`, `[n]`, of the
            codes of queries, tiles, and the block's vectors in the first and second block of axes.
        need: float32 `[q]`, ‖q‖²/2 less the slack for rounding; a pair is kept whose bound reaches
            `need − best/2`.
        weights: float32 `[3, q]`, what a block's norm is multiplied with to give its margin.
        deviation, deviation_scale: codes int8 `[q, d]` and their scales `[q]`, of how a query's
            second block differs from its tile's stand-in.
        own_weight: `[q]`, the margin's weight once that deviation is accounted for.
        first: number of the block's first vector.
        norms: float32 `[3, n]`, of its vectors in each block of axes; `middle_codes` int8 `[n, d]`.
        best, index: squared distance and number of the nearest so far, brought up to date.
        allowed: how many pairs may pass the first bound.

    Returns:
        How many rows it did; fewer than r where more pairs passed than allowed: the rows whose
        pairs were noted last are left as they were.
    """
    n = lead.shape[1]
    norms0, norms1, norms2 = norms[0], norms[1], norms[2]
    of_tile, widest = np.empty(n, np.float32), np.empty(3, np.float32)
    flags = np.empty(n, np.uint8)
    words = flags.view(np.uint64)
    place = np.empty(_NOTED + words.shape[0], np.int64)
    noted = np.empty(place.shape[0], np.uint64)
    pairs = np.empty(_WORD * place.shape[0], np.int64)
    have, count, passed, begun = -1, 0, 0, 0
    for r in range(rows.shape[0]):
        i = rows[r]
        tile = tile_of[i]
        if tile != have:
            have = tile
            widest[:] = 0
            for s in range(r, rows.shape[0]):
                if tile_of[rows[s]] != tile:
                    break
                for k in range(3):
                    widest[k] = max(widest[k], weights[k, rows[s]])
            _with_margins(
                of_tile,
                middle[tile],
                tile_scale[tile],
                middle_scales,
                rest[rest_of[tile]],
                widest[0],
                norms0,
                widest[1],
                norms1,
                widest[2],
                norms2,
            )
        _flag_passing(flags, lead[r], scale[i], scales, of_tile, need[i] - _HALF * best[i])
        for line in range(0, words.shape[0], _LINE):
            if not _any(words[line : line + _LINE]):
                continue
            for word in range(line, line + _LINE):
                place[count] = r * words.shape[0] + word
                noted[count] = words[word]
                count += words[word] != 0
        if count < _NOTED and r + 1 < rows.shape[0]:
            continue
        found = _list_flagged(pairs, place[:count], noted)
        passed += found
        if passed > allowed:
            return begun
        kept = 0
        for pair in pairs[:found]:
            s, j = divmod(pair, n)
            i = rows[s]
            tile = tile_of[i]
            bound = np.float32(middle[tile, j]) * tile_scale[tile]
            bound += np.float32(_dot(deviation[i], middle_codes[j])) * deviation_scale[i]
            bound = bound * middle_scales[j] + rest[rest_of[tile], j]
            bound += np.float32(lead[s, j]) * scale[i] * scales[j]
            bound += weights[0, i] * norms0[j] + own_weight[i] * norms1[j]
            bound += weights[2, i] * norms2[j]
            pairs[kept] = pair
            kept += bound >= need[i] - _HALF * best[i]
        for pair in pairs[:kept]:
            s, j = divmod(pair, n)
            i, m = rows[s], first + j
            squared = squared_distance(queries[i], vectors[m])
            if squared < best[i] or (squared == best[i] and m < index[i]):
                best[i] = squared
                index[i] = m
        begun, count = r + 1, 0
    return rows.shape[0]


@compiled
def sift_products(products, plus, rows, queries, need, vectors, first, best, index):
    """As `sift`, from inner products float32 `[r, n]` themselves in place of bounds."""
    for r in range(rows.shape[0]):
        i = rows[r]
        row = products[r]
        for j in range(row.shape[0]):
            if row[j] + plus[j] >= need[i] - _HALF * best[i]:
                m = first + j
                squared = squared_distance(queries[i], vectors[m])
                if squared < best[i] or (squared == best[i] and m < index[i]):
                    best[i] = squared
                    index[i] = m


@compiled
def centre(features, order, mean, rows, ordered, centred, squared):
    """Bring rows into `order`; take the mean off, and note the squared norms."""
    for i in range(rows[0], rows[1]):
        x, y, z = features[order[i]], ordered[i], centred[i]
        total = np.float32(0)
        for k in range(mean.shape[0]):
            difference = x[k] - mean[k]
            y[k] = x[k]
            z[k] = difference
            total += difference * difference
        squared[i] = total


@compiled
def tile_means(x, starts, means, apart):
    """Mean of each run of rows, from `starts[g]` to `starts[g + 1]`; each row's distance to it."""
    for g in range(means.shape[0]):
        mean = means[g]
        for k in range(mean.shape[0]):
            mean[k] = 0
        for i in range(starts[g], starts[g + 1]):
            row = x[i]
            for k in range(mean.shape[0]):
                mean[k] += row[k]
        share = np.float32(1) / np.float32(starts[g + 1] - starts[g])
        for k in range(mean.shape[0]):
            mean[k] *= share
        for i in range(starts[g], starts[g + 1]):
            apart[i] = np.sqrt(squared_distance(x[i], mean))
