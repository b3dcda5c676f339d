"""Generators of synthetic defects that run on a CPU."""
