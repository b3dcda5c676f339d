"""Preparing a published data set (thesis 3.2)."""
