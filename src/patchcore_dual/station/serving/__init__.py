"""Serving models: inspecting one image after the other, explaining, editing."""
