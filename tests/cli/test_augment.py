"""`augment` as a user runs it, and what `fit` then makes of it."""

import errno
import json
import os
import re
import shutil
import sys

import pytest

from patchcore_dual.cli.main import main
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.synthesis import GENERATORS
from patchcore_dual.synthesis.diag.prompts import read_prompts
from synthesis.tiny_sdxl import make_tiny_sdxl


@pytest.fixture
def data(prepared, tmp_path):
    shutil.copytree(prepared.folder, tmp_path / "prepared")
    return tmp_path / "prepared"


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["patchcore-dual", *map(str, arguments)])
        try:
            main()
            found = 0
        except SystemExit as end:
            found = end.code or 0
        printed = capsys.readouterr()
        assert found == code, printed.err
        return printed.err if code else json.loads(printed.out)

    return run


@pytest.mark.parametrize("generator", ["poisson", "cutpaste", "perlin", "strokes"])
def test_images_masks_and_rows_with_their_parents(run, data, generator):
    summary = run("augment", generator, data, "--count", 4, "--json")
    assert summary["kept"] == 4
    manifest = Manifest.load(data)
    train = {s.image for s in manifest.real().part("train")}
    assert len(manifest.synthetic()) == 4
    for sample in manifest.synthetic():
        normal = read_image(data / sample.provenance["normal"])
        image, mask = read_image(manifest.image_path(sample)), read_mask(data / sample.mask)
        assert sample.parents <= train
        assert mask.any()
        assert (image != normal).any()
        assert (image == normal)[~mask].mean() > 0.9
    assert (data / "synthetic" / generator / "sheet.html").is_file()
    assert (data / "synthetic" / generator / "sheet.png").is_file()


def test_a_larger_count_adds_to_the_same_set_and_a_rerun_changes_nothing(run, data):
    run("augment", "strokes", data, "--count", 2, "--json")
    first = [(data / s.image).read_bytes() for s in Manifest.load(data).synthetic()]
    run("augment", "strokes", data, "--count", 4, "--json")
    again = [(data / s.image).read_bytes() for s in Manifest.load(data).synthetic()]
    assert again[:2] == first
    assert len(again) == 4
    before = (data / "manifest.csv").read_bytes()
    run("augment", "strokes", data, "--count", 4, "--json")
    assert (data / "manifest.csv").read_bytes() == before


def test_fit_uses_as_many_as_it_is_reported(run, data, tmp_path):
    run("augment", "strokes", data, "--count", 3, "--json")
    for which, count in (("all", 3), ("none", 0), ("2", 2)):
        summary = run("fit", data, "--model", tmp_path / which, "--synthetic", which, "--json")
        assert summary["trained_on"]["synthetic_images"] == ({"strokes": count} if count else {})


def test_the_whole_diag_path_on_a_tiny_pipeline(run, data, tmp_path):
    pipeline = make_tiny_sdxl(tmp_path / "pipeline")
    arguments = ("augment", "diag", data, "--preset", "ksdd2", "--device", "cpu")
    summary = run(
        *arguments, "--images-per-prompt", 1, "--pipeline", pipeline, "--size", 128, "--json"
    )
    rows = Manifest.load(data).synthetic().samples
    assert summary["kept"] == len(rows) == 2
    prompts = {str(s.provenance) for s in rows}
    assert any("copper metal scratches" in text for text in prompts)
    assert any("white marks on the wall" in text for text in prompts)


def test_lists_of_a_person_are_honoured_by_fit_and_shown_on_the_next_page(run, data, tmp_path):
    run("augment", "strokes", data, "--count", 4, "--json")
    folder = data / "synthetic" / "strokes"

    def used() -> dict[str, int]:
        summary = run("fit", data, "--model", tmp_path / "model", "--overwrite", "--json")
        return summary["trained_on"]["synthetic_images"]

    (folder / "reject.txt").write_text("0002.png\n")
    assert used() == {"strokes": 3}
    (folder / "accept.txt").write_text("0001.png\n0002.png\n")
    assert used() == {"strokes": 1}
    run("augment", "strokes", data, "--count", 4, "--json")
    assert '{"0001.png": "accept", "0002.png": "reject"}' in (folder / "sheet.html").read_text()
    (folder / "reject.txt").write_text("0009.png\n")
    message = run("fit", data, "--model", tmp_path / "model", code=2)
    assert "reject.txt, line 1" in message


def test_the_gates_keep_some_and_say_why_not_the_others(run, data):
    summary = run("augment", "poisson", data, "--count", 4, "--gate", "--json")
    folder = data / "synthetic" / "poisson"
    gates = json.loads((folder / "gates.json").read_text())
    assert gates == summary["gates"]
    assert len(gates["passed"]) == summary["kept"]
    assert set(gates["left_out"]) | set(gates["passed"]) == {f"{n:04d}.png" for n in range(1, 5)}
    assert all(gates["left_out"].values())
    kept = {s.image.rsplit("/", 1)[1] for s in Manifest.load(data).synthetic()}
    assert kept == set(gates["passed"])
    summary = run("augment", "poisson", data, "--count", 4, "--json")
    assert summary["kept"] == 4
    assert not (folder / "gates.json").exists(), "no gate was applied this time"


def test_a_disk_full_at_the_contact_sheet_is_reported(run, data, monkeypatch):
    real, calls = os.fsync, []

    def no_room(handle):
        calls.append(handle)
        if len(calls) == 2 + 3 * 2 + 1:  # plan, journal; two images; then the picture
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        message = run("augment", "strokes", data, "--count", 2, code=2)
    assert "sheet.png: No space left on device" in message
    assert not len(Manifest.load(data).synthetic())
    assert run("augment", "strokes", data, "--count", 2, "--json")["kept"] == 2
    assert not [p for p in (data / "synthetic/strokes").iterdir() if p.name[0] == "."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("magic", "DATA"), "No such command 'magic'"),
        (("poisson", "DATA", "--steps", "3"), "No such option: --steps"),
        (("poisson", "DATA", "--masks", "drawn"), "No such option: --masks"),
        (("poisson", "DATA", "--defects", "0"), "has a usable mask"),
        (("diag", "DATA", "--pipeline", "x"), "--preset ksdd2"),
        (("diag", "DATA", "--preset", "ksdd2"), "diag needs --pipeline FOLDER"),
        (("diag", "DATA", "--count", "1", "--images-per-prompt", "1"), "not both"),
        (("diag", "DATA", "--geometry", "round"), "Invalid value for '--geometry'"),
        (("strokes", "DATA", "--name", "../x"), "--name is"),
        (("strokes", "DATA", "--defects", "2", "--seed", "-1"), "Invalid value for '--seed'"),
        (("strokes", "DATA", "--count", "0"), "Invalid value for '--count'"),
        (("strokes", "DATA", "--masks", "wild"), "Invalid value for '--masks'"),
        (("strokes", "DATA", "--backbone", "resnet18"), "Add --gate"),
        (("strokes", "DATA", "--device", "cpu"), "--device is for the gates"),
    ],
)
def test_bad_input_is_reported(run, data, arguments, message, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    before = (data / "manifest.csv").read_bytes()
    arguments = [data if a == "DATA" else a for a in arguments]
    assert message in run("augment", *arguments, code=2)
    assert (data / "manifest.csv").read_bytes() == before


def test_proposed_prompts_can_be_painted_from(run, data, tmp_path):
    file = tmp_path / "prompts.yaml"
    summary = run("augment", "propose-prompts", data, file, "--json")
    assert [prompt.positive for prompt in read_prompts(file)] == summary["proposed"]
    assert "Name another file" in run("augment", "propose-prompts", data, file, code=2)
    run("augment", "propose-prompts", data, file, "--overwrite", "--json")


@pytest.mark.parametrize("command", [*GENERATORS, "propose-prompts"])
def test_every_subcommand_has_help_with_an_example(monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", ["patchcore-dual", "augment", command, "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert f"Example: patchcore-dual augment {command} prepared" in shown
    assert ("--steps" in shown) == (command == "diag")
    assert not re.search(r"\(\d\.\d", shown), "section numbers are for the documentation"


def test_the_next_step_is_to_look_at_the_images_before_fitting(in_a_process, data):
    lines = in_a_process("augment", "strokes", data, "--count", 2).stdout.decode().splitlines()
    (following,) = (i for i, line in enumerate(lines) if line.startswith("Next: "))
    assert str(data / "synthetic/strokes/sheet.html") in lines[following]
    assert "reject.txt" in lines[following]
    assert [i for i, line in enumerate(lines) if "patchcore-dual fit" in line] == [following + 1]
