"""How good a model is: metrics, the evaluation of a prepared data set, and its report."""
