"""Synthetic defects: generators, where defects go, quality gates (thesis 2.1, 4.2)."""

from patchcore_dual.synthesis.generator import Generator
from patchcore_dual.synthesis.generators.cutpaste import CutPaste
from patchcore_dual.synthesis.generators.perlin import Perlin
from patchcore_dual.synthesis.generators.poisson import Poisson
from patchcore_dual.synthesis.generators.strokes import Strokes

# Those that need no diffusion model, by name. To add one: its file, and its class here.
CPU_GENERATORS: dict[str, type[Generator]] = {
    generator.name: generator for generator in (Poisson, CutPaste, Perlin, Strokes)
}
