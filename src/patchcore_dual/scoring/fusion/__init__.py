"""Fusion rules: from the evidence of both banks to an image score (thesis 4.3.5)."""
