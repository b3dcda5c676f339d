"""The compute backend: 8-bit codes, matrix products and threads, with PyTorch or without it."""
