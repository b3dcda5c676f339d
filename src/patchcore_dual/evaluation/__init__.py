"""Metrics, the evaluation of a model on a prepared data set, and its report."""
