"""Sets of synthetic images on disk: made, resumed and reviewed."""
