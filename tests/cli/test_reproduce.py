"""`reproduce` as a user runs it: every target on small look-alikes, resuming, bad input."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lookalikes import make_ksdd2, make_magnetic_tile
from patchcore_dual.cli.main import main
from patchcore_dual.evaluation import reproduce
from patchcore_dual.images.manifest import Manifest
from patchcore_dual.images.preparation import prepare

LITE = ("--backbone", "efficientnet_lite0")
METHODS = ["PatchCore", "PatchCoreDual, thesis", "PatchCoreDual"]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `patchcore-dual reproduce` with some arguments: exit code, what is printed where."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        words = ["patchcore-dual", "reproduce", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return caught.value.code or 0, printed.out, printed.err

    return run


@pytest.fixture(scope="module")
def ksdd2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ksdd2")
    prepare(
        "ksdd2", make_ksdd2(folder / "s", (10, 3), (5, 3), 0.2), folder / "p", width=48, height=96
    )
    return folder / "p"


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles")
    prepare(
        "magnetic-tile", make_magnetic_tile(folder / "s", 4, 2), folder / "p", width=48, height=48
    )
    return folder / "p"


def test_table1_prints_our_figures_beside_the_thesiss(run, ksdd2, tmp_path):
    code, out, err = run("table1", ksdd2, *LITE, "--seeds", 2, "--report", tmp_path / "r")
    assert code == 0
    for text in (*METHODS, "Image AUROC", "AUPRO", "thesis 0.912", "thesis 0.969"):
        assert text in out
    assert "seed 1: done" in err
    page = (tmp_path / "r/table1.html").read_text()
    for text in ("thesis 0.931", "Image AUROC: ", "synthetic defects (DIAG)", "<svg", "48x96"):
        assert text in page
    assert "http" not in page


def test_table1_of_other_data_has_no_printed_figures(run, tiles, tmp_path):
    code, out, _ = run(
        *("table1", tiles, *LITE, "--seeds", 1, "--splits", "group", "--json"),
        *("--report", tmp_path),
    )
    assert code == 0
    answer = json.loads(out)
    assert "published" not in answer
    assert "DIAG" not in (tmp_path / "table1.html").read_text()
    assert [row["method"] for row in answer["rows"]] == METHODS
    figures = answer["rows"][0]["figures"]
    assert figures["image_auroc"]["deviation"] is None  # of one seed
    assert figures["image_auroc"]["low"] <= figures["image_auroc"]["mean"]
    assert figures["pixel_auroc"]["low"] <= figures["pixel_auroc"]["mean"]
    assert figures["pixel_auroc"]["mean"] <= figures["pixel_auroc"]["high"]
    assert figures["aupro"]["low"] is None


def test_an_interrupted_run_goes_on_where_it_was(run, ksdd2, tmp_path, monkeypatch):
    arguments = ("table1", ksdd2, *LITE, "--splits", "group", "--json")
    _, whole, _ = run(*arguments, "--seeds", 2)
    real, ran = reproduce._run_seed, []

    def seed_run(plan, split, detector, seed, progress):
        ran.append(seed)
        if ran == [0, 1]:
            raise KeyboardInterrupt
        return real(plan, split, detector, seed, progress)

    monkeypatch.setattr(reproduce, "_run_seed", seed_run)
    assert run(*arguments, "--seeds", 2, "--report", tmp_path)[0] == 130
    assert len(list((tmp_path / "seeds").iterdir())) == 1
    code, out, err = run(*arguments, "--seeds", 2, "--report", tmp_path)
    assert code == 0
    assert ran == [0, 1, 1]
    assert "seed 0: found finished" in err
    assert json.loads(out) == json.loads(whole)
    run(*arguments, "--seeds", 2, "--report", tmp_path)
    assert ran == [0, 1, 1]
    run(*arguments[:-1], "--seeds", 1, "--report", tmp_path, "--splits", "official")
    assert ran == [0, 1, 1, 0]  # another split is another result


def test_a_damaged_seed_is_told(run, ksdd2, tmp_path):
    arguments = ("table1", ksdd2, *LITE, "--seeds", 1, "--report", tmp_path)
    run(*arguments)
    (path,) = (tmp_path / "seeds").iterdir()
    path.write_text(path.read_text()[:99])
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert f"{path} is damaged" in err.replace("\n", "")


def test_few_shot(run, tiles, tmp_path):
    code, out, _ = run(
        *("few-shot", tiles, *LITE, "--seeds", 1, "--draws", 2, "--json", "--report", tmp_path)
    )
    assert code == 0
    rows = json.loads(out)["rows"]
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    assert conditions == ["0", "1", "3", "5", "all"]
    baseline = {json.dumps(r["figures"]) for r in rows if r["method"] == "PatchCore"}
    assert len(baseline) == 1  # it knows no defects
    assert "Draws of each count</dt><dd>2" in (tmp_path / "few-shot.html").read_text()


def test_unseen_kinds(run, tiles, tmp_path):
    code, out, _ = run("unseen-kinds", tiles, *LITE, "--seeds", 1, "--report", tmp_path)
    assert code == 0
    for text in ("Blowhole", "Uneven", "mean over kinds", "all kinds, all taught"):
        assert text in out
        assert text in (tmp_path / "unseen-kinds.html").read_text()


def test_figure5(run, ksdd2, tmp_path):
    code, out, _ = run("figure5", ksdd2, *LITE, "--report", tmp_path, "--json")
    assert code == 0
    defective = [s.image for s in Manifest.load(ksdd2).part("test", "positive")]
    assert set(defective) <= set(json.loads(out)["images"])
    picture = np.asarray(Image.open(tmp_path / "figure5.png"))
    assert picture.shape[1] > 5 * 100  # five columns
    assert "data:image/png" in (tmp_path / "figure5.html").read_text()

    chosen = Manifest.load(ksdd2).part("test", "negative").samples[0].image
    code, out, _ = run(
        *("figure5", ksdd2, *LITE, "--report", tmp_path, "--json", "--images", chosen)
    )
    assert json.loads(out)["images"] == [chosen]
    assert np.asarray(Image.open(tmp_path / "figure5.png")).shape[0] < picture.shape[0]


def test_bad_input_is_one_clear_message(run, ksdd2, prepared, tmp_path):
    def told(*arguments):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        assert err.count("error:") == 1
        return err

    assert "'table9'; there are: table1, few-shot" in told("table9", ksdd2)
    assert "--seeds is 0; give at least 1" in told("table1", ksdd2, "--seeds", 0)
    assert "--draws is 0; give at least 1" in told("few-shot", ksdd2, "--draws", 0)
    assert "use official or group" in told("table1", ksdd2, "--splits", "random")
    assert "names no kinds of defect" in told("unseen-kinds", ksdd2)
    assert "say where it is to go with --report" in told("figure5", ksdd2)
    assert "--images is for figure5" in told("table1", ksdd2, "--images", "a.png")
    gone = tmp_path / "gone.pth"
    assert f"no weights file {gone}" in told("table1", ksdd2, "--weights", gone).replace("\n", "")
    assert "is not a prepared data set" in told("table1", tmp_path)
    shown = ("figure5", ksdd2, *LITE, "--report", tmp_path, "--images", "a.png")
    assert "a.png is not a test image" in told(*shown)


def test_no_defective_test_images(run, ksdd2, tmp_path):
    manifest = Manifest.load(ksdd2)
    moved = [replace(s, split="train") if s.is_defective else s for s in manifest]
    Manifest(tmp_path, tuple(moved)).save()
    code, _, err = run("table1", tmp_path, *LITE)
    assert code == 2
    assert "no defective test images" in err
