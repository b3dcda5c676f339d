"""Greedy k-centre coresets, exact and composed of parts (thesis 4.3.4)."""
