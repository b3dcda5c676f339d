"""Kappa counted one pair of verdicts at a time, and its standard error by leaving out parts."""

import math
from collections import Counter
from itertools import combinations


def cohen(pairs):
    """Cohen's kappa of a list of pairs of verdicts."""
    n = len(pairs)
    observed = sum(a == b for a, b in pairs) / n
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[c] * second[c] for c in first) / n**2
    return math.nan if chance == 1 else (observed - chance) / (1 - chance)


def fleiss(subjects):
    """Fleiss' kappa of a list of subjects, each a list of verdicts."""
    pairs = [pair for verdicts in subjects for pair in combinations(verdicts, 2)]
    observed = sum(a == b for a, b in pairs) / len(pairs)
    everything = Counter(v for verdicts in subjects for v in verdicts)
    total = sum(everything.values())
    chance = sum((count / total) ** 2 for count in everything.values())
    return math.nan if chance == 1 else (observed - chance) / (1 - chance)


def jackknife(statistic, parts):
    """The standard error of a statistic of all observations, each part having a list of them."""
    n = len(parts)
    left = [
        statistic([one for j, part in enumerate(parts) if j != i for one in part]) for i in range(n)
    ]
    mean = sum(left) / n
    return math.sqrt((n - 1) / n * sum((value - mean) ** 2 for value in left))


def cohen_standard_error(table):
    """The large-sample standard error of Cohen's kappa (Fleiss, Cohen and Everitt 1969)."""
    n = sum(map(sum, table))
    k = range(len(table))
    p = [[table[i][j] / n for j in k] for i in k]
    rows = [sum(p[i][j] for j in k) for i in k]
    columns = [sum(p[i][j] for i in k) for j in k]
    observed = sum(p[i][i] for i in k)
    chance = sum(rows[i] * columns[i] for i in k)
    kappa = (observed - chance) / (1 - chance)
    diagonal = sum(p[i][i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in k)
    rest = sum(p[i][j] * (columns[i] + rows[j]) ** 2 for i in k for j in k if i != j)
    variance = diagonal + (1 - kappa) ** 2 * rest - (kappa - chance * (1 - kappa)) ** 2
    return math.sqrt(variance / n) / (1 - chance)
