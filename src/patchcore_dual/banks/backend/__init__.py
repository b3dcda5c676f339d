"""8-bit and float matrix products, and the threads that share a search."""
