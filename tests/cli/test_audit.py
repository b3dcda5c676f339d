import json
from pathlib import Path

import typer
from typer.testing import CliRunner

from lookalikes import make_kolektorsdd
from patchcore_dual.cli.audit import audit
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.errors import DataError

app = typer.Typer()
app.command()(audit)
run = CliRunner().invoke


def test_clean_and_leaking_data_sets(tmp_path: Path) -> None:
    prepare("kolektorsdd", make_kolektorsdd(tmp_path / "s"), tmp_path / "p", width=32, height=48)
    result = run(app, [str(tmp_path / "p")])
    assert result.exit_code == 0
    assert "Nothing crosses the split." in result.stdout

    manifest = Manifest.load(tmp_path / "p")
    train, test = manifest.part("train").samples[0], manifest.part("test").samples[0]
    manifest.image_path(test).write_bytes(manifest.image_path(train).read_bytes())
    result = run(app, [str(tmp_path / "p"), "--json"])
    assert result.exit_code == 1
    (copies,) = json.loads(result.stdout)["copies_across_split"]
    assert set(copies["images"]) == {train.image, test.image}


def test_folder_that_is_not_prepared(tmp_path: Path) -> None:
    result = run(app, [str(tmp_path)])
    assert isinstance(result.exception, DataError)
    assert "is not a prepared data set" in str(result.exception)
