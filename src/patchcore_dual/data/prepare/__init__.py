"""From a data set as it was published to a prepared folder (thesis 3.2)."""
