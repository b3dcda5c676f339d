"""`augment` as a user runs it, and what `fit` then makes of it."""

import json
import shutil
import sys

import pytest

from patchcore_dual.cli.main import main
from patchcore_dual.images.manifest import Manifest
from patchcore_dual.images.reading import read_image, read_mask
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
    told = run("augment", data, "--generator", generator, "--count", 4, "--json")
    assert told["kept"] == 4
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
    run("augment", data, "--generator", "strokes", "--count", 2, "--json")
    first = [(data / s.image).read_bytes() for s in Manifest.load(data).synthetic()]
    run("augment", data, "--generator", "strokes", "--count", 4, "--json")
    again = [(data / s.image).read_bytes() for s in Manifest.load(data).synthetic()]
    assert again[:2] == first
    assert len(again) == 4
    before = (data / "manifest.csv").read_bytes()
    run("augment", data, "--generator", "strokes", "--count", 4, "--json")
    assert (data / "manifest.csv").read_bytes() == before


def test_fit_uses_as_many_as_it_is_told(run, data, tmp_path):
    run("augment", data, "--generator", "strokes", "--count", 3, "--json")
    for which, count in (("all", 3), ("none", 0), ("2", 2)):
        told = run("fit", data, "--model", tmp_path / which, "--synthetic", which, "--json")
        assert told["trained_on"]["synthetic_images"] == ({"strokes": count} if count else {})


def test_the_whole_diag_path_on_a_tiny_pipeline(run, data, tmp_path):
    pipeline = make_tiny_sdxl(tmp_path / "pipeline")
    arguments = ("augment", data, "--generator", "diag", "--preset", "ksdd2", "--device", "cpu")
    told = run(
        *arguments, "--images-per-prompt", 1, "--pipeline", pipeline, "--size", 128, "--json"
    )
    rows = Manifest.load(data).synthetic().samples
    assert told["kept"] == len(rows) == 2
    prompts = {str(s.provenance) for s in rows}
    assert any("copper metal scratches" in text for text in prompts)
    assert any("white marks on the wall" in text for text in prompts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--generator", "magic"), "no generator 'magic'"),
        (("--generator", "poisson", "--steps", "3"), "--steps is for --generator diag"),
        (("--generator", "poisson", "--masks", "drawn"), "takes surface from real defects"),
        (("--generator", "poisson", "--defects", "0"), "has a usable mask"),
        (("--generator", "diag", "--pipeline", "x"), "--preset ksdd2"),
        (("--generator", "strokes", "--name", "../x"), "--name is"),
    ],
)
def test_bad_input_is_told(run, data, options, message):
    before = (data / "manifest.csv").read_bytes()
    assert message in run("augment", data, *options, code=2)
    assert (data / "manifest.csv").read_bytes() == before
