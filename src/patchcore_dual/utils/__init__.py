"""Files, memory limits, progress and prefetching, used by every other part."""
