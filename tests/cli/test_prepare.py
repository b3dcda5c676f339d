import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from lookalikes import make_folder, make_kolektorsdd, make_ksdd2, save, surface
from patchcore_dual.cli.choices import parse_size
from patchcore_dual.cli.prepare import prepare
from patchcore_dual.data.layouts import LAYOUTS
from patchcore_dual.data.manifest import Manifest
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
    assert parse_size("224x632", "auto") == (224, 632)
    assert parse_size("native", "auto") is None
    for wrong in ("224", "224*632", "0x5", "-1x5", "224x632x3", ""):
        with pytest.raises(SettingsError, match="WIDTHxHEIGHT"):
            parse_size(wrong, "auto")


def prepare_folder(source: Path, folder: Path, *options: str, **more: Any) -> Any:
    return run(app, ["folder", str(source), str(folder), *options], **more)


def test_without_a_size_that_of_the_photographs_is_kept_and_said(tmp_path: Path) -> None:
    result = prepare_folder(make_folder(tmp_path / "s"), tmp_path / "p")
    assert "16 images, 40x30" in result.stdout
    assert "Size 40x30, that of the photographs; `fit` chooses" in result.stdout


def test_without_a_size_ksdd2_has_that_of_the_thesis(tmp_path: Path) -> None:
    source = make_ksdd2(tmp_path / "s", train=(2, 1), test=(1, 1))
    facts = json.loads(run(app, ["ksdd2", str(source), str(tmp_path / "p"), "--json"]).stdout)
    assert facts["size"] == "224x632"


def test_a_size_that_distorts_is_warned_of(tmp_path: Path) -> None:
    result = prepare_folder(make_folder(tmp_path / "s"), tmp_path / "p", "--size", "64x64")
    assert result.exit_code == 0
    assert "WARNING: 64x64 distorts 16 of 16 images by more than 5%" in result.stdout


@pytest.mark.parametrize("size", ["1x1", "99999x99999", "9" * 5000 + "x1"])
def test_a_senseless_size_is_refused(tmp_path: Path, size: str) -> None:
    result = prepare_folder(make_folder(tmp_path / "s"), tmp_path / "p", "--size", size)
    assert isinstance(result.exception, SettingsError)


def test_update_adds_images_and_says_what_stays(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "s")
    prepare_folder(source, tmp_path / "p", "--train-fraction", "0.7")
    save(source / "good/new.png", surface(900, 40, 30))
    refused = prepare_folder(source, tmp_path / "p")
    assert "Add new images to it with --update" in str(refused.exception)
    result = prepare_folder(source, tmp_path / "p", "--update")
    assert result.exit_code == 0
    assert "17 images, 40x30" in result.stdout
    assert "1 images added" in result.stdout
    again = prepare_folder(source, tmp_path / "p", "--update", "--train-fraction", "0.5")
    assert "an update keeps its split" in str(again.exception)
    assert prepare_folder(source, tmp_path / "p", "--update", "--size", "auto").exit_code == 0
    prepare_folder(source, tmp_path / "q", "--size", "40x30")
    auto = prepare_folder(source, tmp_path / "q", "--update", "--size", "auto")
    assert "--size is auto" in str(auto.exception)
    both = prepare_folder(source, tmp_path / "p", "--update", "--overwrite")
    assert isinstance(both.exception, SettingsError)


def test_overwriting_additions_is_refused_and_asked_for_at_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = make_folder(tmp_path / "s"), tmp_path / "p"
    prepare_folder(source, folder)
    (folder / "notes.txt").write_text("mine")
    refused = prepare_folder(source, folder, "--overwrite")
    assert "1 files that `prepare` did not make: notes.txt" in str(refused.exception)
    monkeypatch.setattr("typer.testing.CliRunner.isolation", at_a_terminal())
    declined = prepare_folder(source, folder, "--overwrite", input="n\n")
    assert "Delete it now?" in declined.stderr
    assert "notes.txt" in declined.stderr
    assert declined.exit_code != 0
    assert (folder / "notes.txt").read_text() == "mine"
    assert prepare_folder(source, folder, "--overwrite", input="y\n").exit_code == 0
    assert not (folder / "notes.txt").exists()


def at_a_terminal() -> Any:
    """The runner's own input, which says that it is a terminal."""
    isolation = CliRunner.isolation

    @contextmanager
    def isolated(*arguments: Any, **options: Any) -> Iterator[Any]:
        with isolation(*arguments, **options) as streams:
            sys.stdin.isatty = lambda: True  # type: ignore[method-assign]
            yield streams

    return isolated


def test_delete_additions_is_for_overwrite_alone(tmp_path: Path) -> None:
    source, folder = make_folder(tmp_path / "s"), tmp_path / "p"
    alone = prepare_folder(source, folder, "--delete-additions")
    assert isinstance(alone.exception, SettingsError)
    prepare_folder(source, folder)
    (folder / "notes.txt").touch()
    prepare_folder(source, folder, "--overwrite", "--delete-additions")
    assert len(Manifest.load(folder)) == 16
    assert not (folder / "notes.txt").exists()


def test_skipped_images_are_listed_with_what_is_wrong(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "s")
    for name in ("good/1.png", "stain/s2.png"):
        (source / name).write_bytes(b"damaged")
    result = prepare_folder(source, tmp_path / "p", "--skip-unreadable")
    for name in ("good/1.png", "stain/s2.png"):
        assert f"left out: {source / name} cannot be read" in result.stdout


def test_the_summary_is_in_the_words_of_the_guide(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "s")
    result = prepare_folder(source, tmp_path / "p")
    assert "normal" in result.stdout
    assert "defective" in result.stdout
    for word in ("negative", "positive", "unknown mask"):
        assert word not in result.stdout
    assert "defective images without a mask" in result.stdout
    assert "(smallest / median / largest)" in result.stdout


def test_groups_reach_the_preparation_and_bad_ones_are_one_error(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "s")
    options = ["--size", "40x30", "--json", "--group-pattern", "[0-9]"]
    facts = json.loads(prepare_folder(source, tmp_path / "p", *options).stdout)
    assert facts["groups"] == {"by": "pattern", "pattern": "[0-9]"}
    assert facts["n_groups"] == 8
    table = tmp_path / "groups.csv"
    table.write_text("image,group\ngood/0.png,a\n")
    for wrong, error, message in (
        (["--group-pattern", "["], SettingsError, "no regular expression"),
        (["--groups", str(table)], DataError, "names no group for 15 images"),
        (["--groups", str(table), "--group-by-folder"], SettingsError, "give one of"),
        (["--group-by-folder"], DataError, "holds none of 16 images"),
    ):
        result = prepare_folder(source, tmp_path / "q", *wrong)
        assert isinstance(result.exception, error)
        assert message in str(result.exception)
        assert not (tmp_path / "q").exists()
