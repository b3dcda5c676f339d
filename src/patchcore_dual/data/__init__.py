"""Prepared data sets: manifest, images and masks, splits, duplicates (thesis 3)."""
