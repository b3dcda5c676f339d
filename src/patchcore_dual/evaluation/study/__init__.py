"""Attribute studies: how well an inspection agrees with itself, with others and with the truth."""
