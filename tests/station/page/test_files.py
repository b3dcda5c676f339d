"""The files of the page: complete texts, nothing from elsewhere, small files."""

import fnmatch
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "src/patchcore_dual/station/page"
SCRIPTS = sorted(PAGE.rglob("*.js"))
TEXTS = json.loads((PAGE / "texts/en.json").read_text(encoding="utf-8"))
PLURALS = (".one", ".other")


def bare(key):
    return key.rsplit(".", 1)[0] if key.endswith(PLURALS) else key


def named():
    """Keys that the scripts name, with * for what is only known when they run."""
    for path in SCRIPTS:
        script = path.read_text(encoding="utf-8")
        yield from re.findall(r'"([a-z]\w*(?:\.[\w-]+)+)"', script)
        for key in re.findall(r"`([a-z]+\.[^`]*)`", script):
            yield re.sub(r"\$\{[^}]*\}", "*", key)


def test_each_text_that_is_asked_for_exists():
    known = {bare(key) for key in TEXTS}
    for path in SCRIPTS:
        for key in re.findall(r'\bt\("([^"]+)"', path.read_text(encoding="utf-8")):
            assert key in known, f"{path.name} asks for {key}"


def test_each_text_is_used():
    patterns = set(named())
    unused = [key for key in TEXTS if not any(fnmatch.fnmatch(bare(key), p) for p in patterns)]
    assert not unused


def test_texts_with_a_number_have_both_forms():
    keys = {bare(key) for key in TEXTS if key.endswith(PLURALS)}
    assert [key for key in keys if not all(f"{key}{form}" in TEXTS for form in PLURALS)] == []


def test_nothing_comes_from_elsewhere():
    for path in PAGE.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?://|@import|//cdn", text), path


def test_no_script_or_style_is_inline():
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|style=|<script(?![^>]*src=)|\son\w+=", html)
    for path in SCRIPTS:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(", text), path


def test_files_are_small():
    sizes = {path.name: len(path.read_text().splitlines()) for path in PAGE.rglob("*.*")}
    del sizes["en.json"]
    assert {name: size for name, size in sizes.items() if size > 300} == {}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_parse(path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not there")
    command = [node, "--check", "--input-type=module"]
    done = subprocess.run(command, input=path.read_bytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
