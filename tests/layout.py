"""The order of the parts of `src/patchcore_dual/`, and the imports that the code really makes.

`test_layout.py` holds the code to this order; `docs/draw_layout.py` draws it.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "patchcore_dual"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE

# A part imports only parts that stand before it. Modules on one line are one part.
PARTS = (
    ("errors", "settings", "_version"),
    ("utils",),
    ("banks",),
    ("scoring",),
    ("data",),
    ("features",),
    ("model",),
    ("training",),
    ("live",),
    ("detector",),
    ("synthesis",),
    ("evaluation",),
    ("experiments",),
    ("demo",),
    ("products",),
    ("cluster",),
    ("station",),
    ("bulk",),
    ("cli",),
)
RANK = {module: rank for rank, part in enumerate(PARTS) for module in part}


@dataclass(frozen=True)
class Import:
    """One import of a module of the package by another, both as dotted names below the package."""

    importer: str
    imported: str
    line: int

    @property
    def importing_part(self) -> str:
        return self.importer.partition(".")[0]

    @property
    def imported_part(self) -> str:
        return self.imported.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.importer} (line {self.line}) imports {self.imported}"


def modules() -> dict[str, Path]:
    """The package's files by dotted name below the package; the package's own file aside."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


def imports() -> list[Import]:
    """Every import inside the package: in functions and for type checking too."""
    known = modules()
    return [
        Import(name, imported, line)
        for name, path in known.items()
        for imported, line in _imported(path, known)
        if imported != name
    ]


def _imported(path: Path, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        # `from patchcore_dual.data.reading import read_image` names a module and an attribute.
        for name in {_module_of(name, known) for name in names} - {None}:
            yield str(name), node.lineno


def _module_of(name: str, known: dict[str, Path]) -> str | None:
    """The longest beginning of a dotted name that is a module of the package."""
    package, _, inside = name.partition(".")
    if package != PACKAGE:
        return None
    while inside and inside not in known:
        inside = inside.rpartition(".")[0]
    return inside or PACKAGE
