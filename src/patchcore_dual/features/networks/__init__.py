"""The pre-trained networks, as plain PyTorch modules."""
