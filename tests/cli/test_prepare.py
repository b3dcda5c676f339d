import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lookalikes import make_kolektorsdd
from patchcore_dual.cli.prepare import parse_size, prepare
from patchcore_dual.data.layouts import LAYOUTS
from patchcore_dual.errors import DataError, SettingsError

app = typer.Typer()
app.command()(prepare)
run = CliRunner().invoke


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_kolektorsdd(tmp_path / "source")


def test_prints_counts_findings_and_the_next_command(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    result = run(app, ["kolektorsdd", str(source), str(folder), "--size", "32x48"])
    assert result.exit_code == 0
    assert "18 images, 32x48" in result.stdout
    assert "0 sets of exact copies across the split" in result.stdout
    assert f"patchcore-dual fit {folder} --model MODEL" in result.stdout


def test_json_alone_on_standard_output(source: Path, tmp_path: Path) -> None:
    arguments = ["kolektorsdd", str(source), str(tmp_path / "p"), "--size", "native", "--json"]
    facts = json.loads(run(app, arguments).stdout)
    assert facts["n_images"] == 18
    assert facts["size"] == "native"
    assert facts["audit"]["leakage"] is False


def test_options_reach_the_preparation(source: Path, tmp_path: Path) -> None:
    options = ["--size", "32x48", "--train-fraction", "0.34", "--split-seed", "4", "--json"]
    facts = json.loads(run(app, ["kolektorsdd", str(source), str(tmp_path / "p"), *options]).stdout)
    assert facts["split"] == {"by": "group", "train_fraction": 0.34, "seed": 4}
    assert sum(c["images"] for c in facts["counts"] if c["split"] == "train") == 6


def test_errors_are_the_users_kind(source: Path, tmp_path: Path) -> None:
    result = run(app, ["ksdd2", str(source), str(tmp_path / "p")])
    assert isinstance(result.exception, DataError)
    assert "looks like the layout kolektorsdd" in str(result.exception)


def test_help_lists_every_layout_and_others_are_refused(source: Path, tmp_path: Path) -> None:
    shown = run(app, ["--help"]).stdout
    assert all(name in shown for name in LAYOUTS)
    result = run(app, ["kolektor", str(source), str(tmp_path / "p")])
    assert result.exit_code == 2
    assert "'kolektor' is not one of" in result.stderr


def test_sizes() -> None:
    assert parse_size("224x632") == (224, 632)
    assert parse_size("native") == (None, None)
    for wrong in ("224", "224*632", "0x5", "-1x5", "224x632x3", ""):
        with pytest.raises(SettingsError, match="WIDTHxHEIGHT"):
            parse_size(wrong)
