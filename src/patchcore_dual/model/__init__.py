"""A fitted model, in memory and on disk."""
