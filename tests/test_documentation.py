"""What the documentation names exists: files, functions, links, commands and their options."""

import ast
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer

from layout import SOURCE
from patchcore_dual.cli.main import app

ROOT = Path(__file__).parents[1]
INTEGRATE = ROOT / "docs" / "integrate.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", INTEGRATE]
PAGES += [ROOT / "docs" / name for name in ("method.md", "study.md", "teaching.md")]
PAGES += sorted((ROOT / "docs" / "guide").glob("*.md"))
PAGES += sorted((ROOT / "docs" / "station").glob("*.md"))
BY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@BY_PAGE
def test_modules_and_functions_exist(page):
    # `scoring/maps.py: anomaly_map` names a file and what is defined in it.
    for path, name in re.findall(r"`([\w/.]+/?[\w]*\.py)(?:: (\w+))?`", page.read_text("utf-8")):
        file = next((f for f in (SOURCE / path, ROOT / path) if f.is_file()), None)
        file = file or next((ROOT / "benchmarks").rglob(path), None)
        assert file, f"there is no {path}"
        tree = ast.parse(file.read_text("utf-8"))
        defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        assert not name or name in defined, f"{path} has no {name}"


@BY_PAGE
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"there is no {target}"


@BY_PAGE
def test_commands_take_the_options_that_are_shown(page):
    for line in re.findall(
        r"^.*(?<!/)patchcore-dual [a-z].*$", page.read_text("utf-8"), re.MULTILINE
    ):
        for shown in re.findall(r"(?<!/)patchcore-dual ([a-z][^`\n|]*)", line):
            words = shown.split()
            command = typer.main.get_command(app)
            while words and words[0] in (below := _subcommands(command)):
                command = below[words.pop(0)]
            assert not _subcommands(command), f"no command: patchcore-dual {shown}"
            _check_options(words, _options(command), shown)


@BY_PAGE
def test_options_exist(page):
    lines = page.read_text("utf-8").splitlines()
    others = r"(pip|podman|docker|useradd|systemctl|benchmarks/\S+) "
    text = "\n".join(line for line in lines if not re.search(others, line))
    known = _all_options(typer.main.get_command(app))
    _check_options(re.findall(r"(?<![\w-])--[a-z][\w-]*", text), known, page.name)


def test_the_python_of_integrate_runs(model_folder, detector, prepared, tmp_path, monkeypatch):
    part = prepared.part("test", "positive")
    image = part.image_path(part.samples[0])
    shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "new").mkdir()
    shutil.copy(image, tmp_path / "new/a.png")
    monkeypatch.chdir(tmp_path)
    program, graph = re.findall("```python\n(.*?)```", INTEGRATE.read_text("utf-8"), re.DOTALL)
    exec(program, names := {})
    assert names["heat"].shape == (480, 640)
    exec(graph, names := {})
    features = detector.embed(names["image"])
    assert names["features"].shape == (1, *features.shape)
    np.testing.assert_allclose(names["features"][0], features, rtol=1e-4, atol=1e-5)


def test_the_keys_of_a_line_are_explained(detector, prepared):
    text = INTEGRATE.read_text("utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text[text.index("| key | meaning |") :], re.MULTILINE)
    explained = re.findall(r"`(\w+)`", " ".join(rows))
    part = prepared.part("test")
    result = detector.inspect(part.image_path(part.samples[0])).to_json()
    assert set(result) <= set(explained)


def _check_options(words: list[str], known: set[str], where: str) -> None:
    unknown = [word for word in words if word.startswith("--") and word not in known]
    assert not unknown, f"{where}: no option {unknown}"


def _options(command) -> set[str]:
    return {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}


def _all_options(command) -> set[str]:
    below = _subcommands(command).values()
    return _options(command).union(*(_all_options(one) for one in below))


def _subcommands(command) -> dict:
    if not hasattr(command, "list_commands"):
        return {}
    context = command.make_context("patchcore-dual", [], resilient_parsing=True)
    return {name: command.get_command(context, name) for name in command.list_commands(context)}
