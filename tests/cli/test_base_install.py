"""An installation without extras: every command works or says in one line what is missing."""

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from lookalikes import make_kolektorsdd

# Runs the command line as if the packages of the extras were not installed.
WITHOUT_EXTRAS = textwrap.dedent("""
    import importlib.abc, importlib.util, sys
    from patchcore_dual.utils.dependencies import EXTRAS

    class Missing(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in EXTRAS:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Missing())
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: None if name in EXTRAS else found(name, *rest)
    sys.argv[0] = "patchcore-dual"
    from patchcore_dual.cli.main import main
    main()
""")


@pytest.fixture(scope="module")
def run():
    """Run a command without extras: exit code, standard output and standard error."""

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_EXTRAS, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
            check=False,
        )

    return call


def test_prepare_and_audit_work(run, tmp_path):
    source = make_kolektorsdd(tmp_path / "source")
    prepared = tmp_path / "prepared"
    result = run("prepare", "kolektorsdd", source, prepared, "--size", "64x96")
    assert result.returncode == 0, result.stderr
    assert run("audit", prepared).returncode == 0


def test_what_runs_on_a_line_works(run, prepared, model_folder):
    """Here without the modules alone; `test_line_pc.py` installs what such a PC installs."""
    for command in (("evaluate",), ("inspect", "--jsonl"), ("inspect", "--json")):
        result = run(command[0], model_folder, prepared.folder, *command[1:])
        assert result.returncode == 0, result.stderr


def test_a_study_has_its_page_too(run, model_folder, tmp_path):
    lines = ["part,reference,appraiser,verdict"]
    for part in range(20):
        kind, verdict = ("good", "pass") if part % 2 else ("defect", "reject")
        lines += [f"{part},{kind},Kim,{verdict}"] * 2
    (tmp_path / "parts.csv").write_text("\n".join(lines))
    out = tmp_path / "out"
    result = run("study", model_folder, "--parts", tmp_path / "parts.csv", "--out", out)
    assert result.returncode == 0, result.stderr
    assert (out / "study.html").is_file()


def test_changes_and_versions_work(run, prepared, model_folder, tmp_path):
    model = shutil.copytree(model_folder, tmp_path / "model")
    pictures = ("--data", prepared.folder, "--out", tmp_path / "difference")
    for command in (
        ("threshold", model, "--false-alarm-rate", "0.5"),
        ("tag", model, "approved"),
        ("undo", model),
        ("history", model, "--verify"),
        ("diff", f"{model}@1", f"{model}@approved", *pictures),
        ("prune", model, "--keep", "1"),
    ):
        result = run(*command)
        assert result.returncode == 0, result.stderr
    assert list((tmp_path / "difference").glob("*.jpg"))


@pytest.mark.parametrize(
    ("arguments", "module", "extra"),
    [
        (("fit", "PREPARED", "--model", "OUT"), "torch", "train"),
        (("evaluate", "MODEL", "PREPARED", "--report", "OUT"), "jinja2", "train"),
        (("fit", "PREPARED", "--model", "OUT", "--precision", "int8"), "torch", "train"),
        (("inspect", "MODEL", "PREPARED", "--device", "cuda"), "torch", "train"),
        (("augment", "poisson", "PREPARED"), "jinja2", "train"),
        (("augment", "diag", "PREPARED", "--preset", "ksdd2"), "jinja2", "train"),
        (("augment", "propose-prompts", "PREPARED", "OUT"), "yaml", "diag"),
        (("reproduce", "few-shot", "PREPARED"), "torch", "train"),
        (("demo", "--out", "OUT"), "torch", "train"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    run, prepared, model_folder, tmp_path, arguments, module, extra
):
    paths = {"PREPARED": prepared.folder, "MODEL": model_folder, "OUT": tmp_path / "out"}
    result = run(*(paths.get(a, a) for a in arguments))
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert f"needs {module}, which is not installed" in line
    assert f"pip install 'patchcore-dual[{extra}]'" in line
    assert not (tmp_path / "out").exists()


def test_the_version(run):
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, "patchcore-dual 0.1.0\n")
