"""Where a synthetic defect goes, and in what shape."""
