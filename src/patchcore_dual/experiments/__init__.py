"""Protocols that fit many models: the thesis's tables and figures, and beyond."""
