"""The scores of thesis 4.3.5, patch by patch as the formulas read."""

import math

from reference.neighbours import distances, k_nearest

B = 3
EPSILON = 1e-6


def farthest(patches, bank):
    """s* = max_q min_m ‖q − m‖, the patch q it is reached at and the index of its nearest m."""
    best = (-1.0, None, None)
    for q in patches:
        to_each = distances(q, bank)
        if min(to_each) > best[0]:
            best = (min(to_each), q, to_each.index(min(to_each)))
    return best


def share(patches, bank):
    """exp(s*/√d) / Σ_{m ∈ N_b(m*)} exp(‖q − m‖/√d)."""
    s, q, index = farthest(patches, bank)
    root = math.sqrt(len(q))
    neighbourhood = k_nearest(bank[index], bank, B)
    total = sum(math.exp(math.dist(q, bank[m]) / root) for m in neighbourhood)
    return math.exp(s / root) / total


def w_normal(patches, bank):
    return 1.0 if len(bank) < 2 else 1.0 - share(patches, bank)


def w_positive(patches, bank):
    return 1.0 if len(bank) < 2 else share(patches, bank)


def d(patches, bank):
    """Distance of each patch to its nearest vector."""
    return [min(distances(q, bank)) for q in patches]


def patchcore(patches, normal, defect):
    grid = d(patches, normal)
    return max(grid), grid


def patchcore_weighted(patches, normal, defect):
    grid = d(patches, normal)
    return w_normal(patches, normal) * max(grid), grid


def thesis(patches, normal, defect):
    d_n, d_p = d(patches, normal), d(patches, defect)
    score = (w_normal(patches, normal) * max(d_n)) / (
        w_positive(patches, defect) * max(d_p) + EPSILON
    )
    return score, [n / (p + EPSILON) for n, p in zip(d_n, d_p, strict=True)]


def ratio(patches, normal, defect, epsilon=EPSILON):
    d_n, d_p = d(patches, normal), d(patches, defect)
    grid = [n / (p + epsilon) for n, p in zip(d_n, d_p, strict=True)]
    return max(grid), grid


def contrast(patches, normal, defect):
    d_n, d_p = d(patches, normal), d(patches, defect)
    grid = [n**2 - p**2 for n, p in zip(d_n, d_p, strict=True)]
    return max(grid), grid


RULES = {
    "patchcore": patchcore,
    "patchcore-weighted": patchcore_weighted,
    "thesis": thesis,
    "ratio": ratio,
    "contrast": contrast,
}


# The fitted `calibrated` rule. A grid is a list of rows; an image has the grids "normal" (d_N),
# "defect" (d_P) and "logit", and the number of its fold.

PRIOR_IMAGES = 10
SMALLEST = 1e-6


def calibrated(normals, weights, discount):
    """The rule fitted on held-out normal images, its weights and discount given.

    Two functions: image score and grid of a new image, and the same of one of the held-out images,
    out of fold.
    """
    epsilon = max(SMALLEST, quantile([v for image in normals for v in flat(image["defect"])], 0.01))
    of_all = statistics_of(normals, epsilon)
    out_of_fold = {
        fold: statistics_of([image for image in normals if image["fold"] != fold], epsilon)
        for fold in {image["fold"] for image in normals}
    }
    z = [standardised(image, out_of_fold[image["fold"]], epsilon) for image in normals]
    unfamiliar = scale_of([max(flat(one[0])) for one in z])
    known = scale_of([max(flat(weighted(one, weights))) for one in z])

    def combine(z):
        grid = [
            [max(unfamiliar(u), known(k) - discount) for u, k in zip(*rows, strict=True)]
            for rows in zip(z[0], weighted(z, weights), strict=True)
        ]
        return max(flat(grid)), grid

    return (
        lambda image: combine(standardised(image, of_all, epsilon)),
        lambda image: combine(standardised(image, out_of_fold[image["fold"]], epsilon)),
    )


def indicators(image, epsilon):
    """Grids of log d_N, log d_N − log(d_P + ε) and the log odds."""
    log_n = [[math.log(max(v, SMALLEST)) for v in row] for row in image["normal"]]
    ratio = [
        [n - math.log(p + epsilon) for n, p in zip(*rows, strict=True)]
        for rows in zip(log_n, image["defect"], strict=True)
    ]
    return log_n, ratio, image["logit"]


def statistics_of(images, epsilon):
    """Mean and standard deviation by cell of each indicator."""
    grids = [indicators(image, epsilon) for image in images]
    return [position_statistics([one[i] for one in grids]) for i in range(3)]


def position_statistics(grids):
    """Means and variances shrunk towards the neighbourhood, which counts as ten images more.

    The neighbourhood is weighted by a Gaussian of σ = 1 cell, cut off at 4, and beyond the border
    the nearest cell is repeated. Means are half the cell's own and half the mean of all cells. A
    deviation is the fourth root of the cell's times the common one to three quarters, and what is
    left of the differences between means counts in the common one.
    """
    n, rows, columns = len(grids), len(grids[0]), len(grids[0][0])

    def each(value):
        return [[value(r, c) for c in range(columns)] for r in range(rows)]

    def local(grid):
        def at(r, c):
            total, weight = 0, 0
            for dr in range(-4, 5):
                for dc in range(-4, 5):
                    w = math.exp(-(dr**2 + dc**2) / 2)
                    row, column = min(max(r + dr, 0), rows - 1), min(max(c + dc, 0), columns - 1)
                    total, weight = total + w * grid[row][column], weight + w
            return total / weight

        return each(at)

    def shrunk(own, neighbourhood):
        return (n * own + PRIOR_IMAGES * neighbourhood) / (n + PRIOR_IMAGES)

    mean = each(lambda r, c: sum(g[r][c] for g in grids) / n)
    variance = each(lambda r, c: sum((g[r][c] - mean[r][c]) ** 2 for g in grids) / n)
    around = local(mean)
    variance_around = local(each(lambda r, c: variance[r][c] + (mean[r][c] - around[r][c]) ** 2))
    mean = each(lambda r, c: shrunk(mean[r][c], around[r][c]))
    variance = each(lambda r, c: shrunk(variance[r][c], variance_around[r][c]))
    overall = sum(flat(mean)) / (rows * columns)
    left = sum((value - overall) ** 2 for value in flat(mean)) / (rows * columns) / 4
    common = math.sqrt(sum(flat(variance)) / (rows * columns) + left)
    return each(lambda r, c: (mean[r][c] + overall) / 2), each(
        lambda r, c: math.sqrt(variance[r][c]) ** 0.25 * common**0.75 + SMALLEST
    )


def standardised(image, statistics, epsilon):
    """The three indicators minus mean, by deviation, smoothed by 1 2 1 both ways, 0 outside."""
    result = []
    for grid, (mean, deviation) in zip(indicators(image, epsilon), statistics, strict=True):
        rows, columns = len(grid), len(grid[0])
        z = [[0.0] * columns for _ in range(rows)]
        for r in range(rows):
            for c in range(columns):
                for dr in (-1, 0, 1):
                    for dc in (-1, 0, 1):
                        i, j = r + dr, c + dc
                        if 0 <= i < rows and 0 <= j < columns:
                            w = (2 - abs(dr)) * (2 - abs(dc)) / 16
                            z[r][c] += w * (grid[i][j] - mean[i][j]) / deviation[i][j]
        result.append(z)
    return result


def weighted(z, weights):
    """The known-defect channel before scaling: the weighted sum of the indicators."""
    return [
        [sum(weights[i] * values[i] for i in range(3)) for values in zip(*rows, strict=True)]
        for rows in zip(*z, strict=True)
    ]


def scale_of(maxima):
    """A function that scales a value: 0 at the median, then -log of how rare a larger one is.

    The excess above the median follows a generalised Pareto distribution: the one of 21 shapes, and
    its best spread, with the highest likelihood times exp(-shape).
    """
    location = quantile(maxima, 0.5)
    excesses = [value - location for value in maxima if value >= location]
    mean = sum(excesses) / len(excesses)

    def log_posterior(log_spread, shape):
        spread = math.exp(log_spread)
        density = [
            math.log(spread) + (1 + shape) * survival(excess / spread, shape) for excess in excesses
        ]
        return -sum(density) - shape

    def survival(u, shape):
        return math.log(1 + shape * u) / shape if shape else u

    def best_spread(shape):
        low, high = math.log(mean * 1e-6), math.log(mean) + 1e-3
        for _ in range(200):  # ternary search
            a, b = low + (high - low) / 3, high - (high - low) / 3
            if log_posterior(a, shape) < log_posterior(b, shape):
                low = a
            else:
                high = b
        return low

    shapes = [i / 20 for i in range(21)]
    best = max(shapes, key=lambda shape: log_posterior(best_spread(shape), shape))
    spread = math.exp(best_spread(best))

    def scaled(value):
        u = (value - location) / spread
        return survival(u, best) if u > 0 else u

    return scaled


def quantile(values, share):
    """The value at that share of the way through the sorted values, interpolated linearly."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def flat(grid):
    return [value for row in grid for value in row]
