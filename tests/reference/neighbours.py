"""Nearest neighbours by a double loop in double precision."""

import math


def distances(query, vectors):
    """The distances of one query to every vector."""
    return [math.dist(map(float, query), map(float, vector)) for vector in vectors]


def nearest(queries, vectors):
    """The distance and index of each query's nearest vector."""
    found = []
    for query in queries:
        to_each = distances(query, vectors)
        found.append((min(to_each), to_each.index(min(to_each))))
    return tuple(zip(*found, strict=True))


def k_nearest(query, vectors, k):
    """The indices of the k nearest vectors, nearest first."""
    to_each = distances(query, vectors)
    return sorted(range(len(vectors)), key=lambda i: to_each[i])[:k]
