"""The registry of generators: to add one, write its file and name its class here.

Importing the registry loads neither PyTorch nor a diffusion library.
"""

from patchcore_dual.synthesis.diag.diag import Diag
from patchcore_dual.synthesis.generator import Generator
from patchcore_dual.synthesis.generators.cutpaste import CutPaste
from patchcore_dual.synthesis.generators.perlin import Perlin
from patchcore_dual.synthesis.generators.poisson import Poisson
from patchcore_dual.synthesis.generators.strokes import Strokes

GENERATORS: dict[str, type[Generator]] = {
    generator.name: generator for generator in (Poisson, CutPaste, Perlin, Strokes, Diag)
}
"""Every generator, by name."""

CPU_GENERATORS: dict[str, type[Generator]] = {
    name: generator for name, generator in GENERATORS.items() if generator.runs_on_cpu
}
"""The generators that need no diffusion model: each is created without arguments."""
