"""Rendered photographs of machined metal parts, for trying everything without data."""
