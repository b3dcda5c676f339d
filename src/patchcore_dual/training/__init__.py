"""Fitting: feature passes, memory banks, cross-fitting, pseudo masks (thesis 4.3.3, 4.3.4)."""
