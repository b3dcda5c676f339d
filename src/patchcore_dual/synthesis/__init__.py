"""Synthetic defects: generators, where defects are placed, quality gates (thesis 2.1, 4.2)."""

from patchcore_dual.synthesis.generator import Generator
from patchcore_dual.synthesis.registry import CPU_GENERATORS, GENERATORS

__all__ = ["CPU_GENERATORS", "GENERATORS", "Generator"]
