"""The registry names every generator, and importing it is cheap."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import patchcore_dual.synthesis
from patchcore_dual.synthesis import CPU_GENERATORS, GENERATORS, Generator


def test_the_generators_and_what_they_need():
    assert list(GENERATORS) == ["poisson", "cutpaste", "perlin", "strokes", "diag"]
    assert list(CPU_GENERATORS) == ["poisson", "cutpaste", "perlin", "strokes"]
    assert [name for name, g in GENERATORS.items() if g.needs_donor] == ["poisson"]


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_knows_its_name_and_has_a_sentence_for_the_help(name):
    generator = GENERATORS[name]
    assert generator.name == name
    assert generator.summary.endswith(".")
    assert inspect.getdoc(generator) != inspect.getdoc(Generator)


@pytest.mark.parametrize("name", CPU_GENERATORS)
def test_a_cpu_generator_is_made_without_arguments(name):
    assert CPU_GENERATORS[name]() == CPU_GENERATORS[name]()


def test_importing_the_registry_loads_no_network_library():
    heavy = ["torch", "diffusers", "transformers", "accelerate", "yaml", "matplotlib"]
    code = f"import sys, patchcore_dual.synthesis; print([m for m in {heavy} if m in sys.modules])"
    environment = {"PYTHONPATH": str(Path(patchcore_dual.synthesis.__file__).parents[2])}
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"
