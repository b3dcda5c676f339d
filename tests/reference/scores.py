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
