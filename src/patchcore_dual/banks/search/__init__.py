"""Exact nearest-neighbour search, exhaustive and pruned by bounds."""
