"""Quality gates that a synthetic defect has to pass."""
