"""The code keeps to the order of `layout.py`, and to what CONTRIBUTING promises of its parts."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import import_module

import pytest

from layout import PACKAGE, RANK, SOURCE, imports, modules

HEAVY = ("torch", "numpy", "scipy", "cv2", "pydantic", "fastapi", "uvicorn", "sqlalchemy")
LIBRARY = {name: path for name, path in modules().items() if name.partition(".")[0] != "cli"}


def test_every_part_has_its_place():
    unplaced = sorted({name.partition(".")[0] for name in modules()} - RANK.keys())
    assert not unplaced, f"put into PARTS of tests/layout.py: {unplaced}"


def test_imports_between_parts_go_one_way():
    against = [
        str(i)
        for i in imports()
        if i.imported == PACKAGE or RANK[i.imported_part] > RANK[i.importing_part]
    ]
    assert not against, "\n".join(against)


@pytest.mark.parametrize("part", sorted(p.name for p in SOURCE.iterdir() if p.is_dir()))
def test_no_part_has_a_cycle_of_imports(part):
    graph: dict[str, set[str]] = {}
    for i in imports():
        if i.importing_part == i.imported_part == part:
            graph.setdefault(i.importer, set()).add(i.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


SCRIPTS = sorted(
    path
    for folder in ("benchmarks", "docs", "examples")
    for path in (SOURCE.parents[1] / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_what_the_package_has(path):
    """Benchmarks run by hand, long after the code that they import has changed."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            module = import_module(node.module)
            missing = [
                alias.name
                for alias in node.names
                if not hasattr(module, alias.name)
                and f"{node.module}.{alias.name}".partition(".")[2] not in modules()
            ]
            assert not missing, f"line {node.lineno}: {node.module} has no {missing}"


def test_the_detector_is_short():
    lines = (SOURCE / "detector.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 200


def test_importing_the_command_line_loads_nothing_heavy():
    code = (
        f"import sys; import {PACKAGE}.cli.main; "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_neither_prints_nor_parses_arguments(name):
    for node in ast.walk(ast.parse(LIBRARY[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno} prints"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            parsers = {"typer", "argparse"} & {n.partition(".")[0] for n in names}
            assert not parsers, f"line {node.lineno} imports {parsers}"
