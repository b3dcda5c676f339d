"""`reproduce` as a user runs it: every target on small look-alikes, resuming, bad input."""

import json
import re
import shutil
import sys
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from lookalikes import make_ksdd2, make_magnetic_tile
from patchcore_dual.cli.main import main
from patchcore_dual.cli.reproduce import Target
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.experiments import figure1 as figure1_module
from patchcore_dual.experiments import protocols
from patchcore_dual.experiments.protocols import ProtocolName
from patchcore_dual.experiments.reproduce import FIGURES, FigureName
from patchcore_dual.experiments.runner import TrialRunner
from patchcore_dual.experiments.trials import Condition
from patchcore_dual.utils.locking import locked

METHODS = ["PatchCore", "PatchCoreDual, thesis", "PatchCoreDual", "PatchCoreDual with poisson"]


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


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Small numbers of real and synthetic defects, so that the tests are quick."""
    monkeypatch.setattr(protocols, "TABLE1_SYNTHETIC", 4)
    monkeypatch.setattr(protocols, "GENERATORS_REAL", (0, 1))
    monkeypatch.setattr(protocols, "GENERATORS_SYNTHETIC", (2, 3))


@pytest.fixture
def interrupted_at(monkeypatch):
    """A function that interrupts the n-th trial; it returns the conditions of those that began."""
    real, ran = TrialRunner.run, []

    def interrupted_at(n):
        def run(runner, trial):
            ran.append(trial.condition)
            if len(ran) == n:
                raise KeyboardInterrupt
            return real(runner, trial)

        monkeypatch.setattr(TrialRunner, "run", run)
        return ran

    return interrupted_at


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
    """And after the first trial, how long the others take."""
    code, out, err = run("table1", ksdd2, "--seeds", 2, "--report", tmp_path / "r")
    assert code == 0
    for text in (*METHODS, "Image AUROC", "AUPRO", "thesis 0.912", "thesis 0.969"):
        assert text in out
    assert "seed 1: done" in err
    assert "2 of 2 trials are to be run, which fit 8 detectors." in err
    said = re.search(r"What is left takes about \d+ (s|min)\.", err)
    assert said
    assert said.end() < err.index("seed 0: done")
    page = (tmp_path / "r/table1.html").read_text()
    for text in ("thesis 0.931", "Image AUROC: ", "synthetic defects (DIAG)", "<svg", "48x96"):
        assert text in page
    for text in ("Backbone</dt><dd>efficientnet_lite0", "thesis&#39;s figures are of ResNet-50"):
        assert text in page
    assert "http" not in page
    again = run("table1", ksdd2, "--seeds", 2, "--report", tmp_path / "r")[2]
    assert "trials are to be run" not in again
    assert "What is left" not in again


def test_table1_of_other_data_has_no_printed_figures(run, tiles, tmp_path):
    code, out, _ = run(
        *("table1", tiles, "--seeds", 1, "--splits", "group", "--json"),
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


def test_two_runs_of_a_protocol_into_one_report_are_one_and_a_clear_error(run, ksdd2, tmp_path):
    (tmp_path / "trials").mkdir()
    with locked(tmp_path / "trials" / "table1-official", "reproduce table1", ""):
        code, out, err = run("table1", ksdd2, "--seeds", 1, "--report", tmp_path)
    assert (code, out) == (2, "")
    assert "another reproduce table1 is running there (process" in err.replace("\n", " ")
    assert "give another --report" in err.replace("\n", " ")


def test_an_interrupted_run_resumes(run, ksdd2, tmp_path, interrupted_at):
    arguments = ("table1", ksdd2, "--splits", "group", "--json")
    _, whole, _ = run(*arguments, "--seeds", 2)
    ran = interrupted_at(2)
    assert run(*arguments, "--seeds", 2, "--report", tmp_path)[0] == 130
    assert len(list((tmp_path / "trials").glob("table1-group-*/seed*.json"))) == 1
    code, out, err = run(*arguments, "--seeds", 2, "--report", tmp_path)
    assert code == 0
    assert len(ran) == 3
    assert "seed 0: finished before" in err
    assert "seed 1: done" in err
    assert json.loads(out) == json.loads(whole)
    run(*arguments, "--seeds", 2, "--report", tmp_path)
    assert len(ran) == 3


def test_an_interrupted_seed_resumes_after_its_finished_trials(
    run, tiles, tmp_path, monkeypatch, interrupted_at
):
    arguments = ("generators", tiles, "--seeds", 1, "--json")
    kept = {name: protocols.CPU_GENERATORS[name] for name in ("poisson", "strokes")}
    monkeypatch.setattr(protocols, "CPU_GENERATORS", kept)
    trials = [Condition(0), *(Condition(0, generator="strokes", synthetic=n) for n in (2, 3))]
    for defects in (1, None):
        trials.append(Condition(defects))
        for generator in kept:
            trials += [Condition(defects, generator=generator, synthetic=n) for n in (2, 3)]
    ran = interrupted_at(4)
    assert run(*arguments, "--report", tmp_path)[0] == 130
    assert len(list((tmp_path / "trials").glob("generators-official-*/seed*.json"))) == 3
    code, out, err = run(*arguments, "--report", tmp_path)
    assert code == 0
    assert "seed 0: done" in err
    assert ran == [*trials[:4], *trials[3:]]
    assert run(*arguments, "--report", tmp_path)[1] == out
    assert len(ran) == len(trials) + 1
    rows = json.loads(out)["rows"]
    poor = {row["method"] for row in rows if row["condition"].startswith("0 real")}
    assert poor == {"no synthetic", "strokes"}  # poisson borrows from real defects
    assert {row["baseline"] for row in rows} == {None, "no synthetic"}
    page = (tmp_path / "generators.html").read_text()
    for text in ("all real, 3 synthetic", "1 real, 3 synthetic: ", "2 synthetic images", "poisson"):
        assert text in page
    assert "http" not in page


def test_table2_prints_our_figures_beside_the_thesiss(run, ksdd2, tmp_path, monkeypatch):
    counts = {0: 0, 50: 2, 100: 4, 150: 5}  # so many are made, under the names of the real ones
    real = protocols._with_synthetic
    monkeypatch.setattr(
        protocols,
        "_with_synthetic",
        lambda method, generator, n: replace(real(method, generator, n), synthetic=counts[n]),
    )
    arguments = ("table2", ksdd2, "--seeds", 2, "--report", tmp_path)
    code, out, _ = run(*arguments)
    assert code == 0
    for figure in (0.931, 0.934, 0.942, 0.935, 0.969, 0.971, 0.977, 0.972):
        assert out.count(f"thesis {figure:.3f}") == 1  # beside the thesis's reading alone
    assert "paired differences to no synthetic" in out
    _, out, _ = run(*arguments, "--json")
    answer = json.loads(out)
    assert answer["published"]["100 synthetic"] == {"image_auroc": 0.942, "pixel_auroc": 0.977}
    places = [(row["condition"], row["method"]) for row in answer["rows"]]
    columns = ["no synthetic", "50 synthetic", "100 synthetic", "150 synthetic"]
    assert places == [(m, c) for m in ("PatchCoreDual, thesis", "PatchCoreDual") for c in columns]
    for row in answer["rows"]:
        assert (
            (row["baseline"] is None)
            == (row["method"] == "no synthetic")
            == (not row["difference"])
        )
        assert row["figures"]["pixel_auroc"]["low"] is not None
    page = (tmp_path / "table2.html").read_text()
    for text in ("thesis 0.942", "Pixel AUROC", "defects are DIAG", "poisson, made for each split"):
        assert text in page


def test_table2_without_the_images_it_asks_for(run, ksdd2, tmp_path):
    code, out, err = run("table2", ksdd2, "--generator", "diag", "--report", tmp_path)
    assert (code, out) == (2, "")
    assert "augment diag first" in err.replace("\n", " ")
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_named(run, ksdd2, tmp_path):
    arguments = ("table1", ksdd2, "--seeds", 1, "--report", tmp_path)
    run(*arguments)
    (path,) = (tmp_path / "trials").glob("*/seed*.json")
    path.write_text(path.read_text()[:99])
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert f"{path} is damaged" in err.replace("\n", "")


def test_few_shot(run, tiles, tmp_path):
    code, out, _ = run(
        *("few-shot", tiles, "--seeds", 1, "--draws", 2, "--json", "--report", tmp_path)
    )
    assert code == 0
    rows = json.loads(out)["rows"]
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    assert conditions == ["0", "1", "3", "5", "all"]
    baseline = {json.dumps(r["figures"]) for r in rows if r["method"] == "PatchCore"}
    assert len(baseline) == 1  # it knows no defects
    assert "Draws of each count</dt><dd>2" in (tmp_path / "few-shot.html").read_text()


def test_unseen_kinds(run, tiles, tmp_path):
    code, out, _ = run("unseen-kinds", tiles, "--seeds", 1, "--report", tmp_path)
    assert code == 0
    for text in ("Blowhole", "Uneven", "mean over kinds", "all kinds in training"):
        assert text in out
        assert text in (tmp_path / "unseen-kinds.html").read_text()


def test_figure5(run, ksdd2, tmp_path):
    """And before its last detectors, how long they take."""
    code, out, err = run("figure5", ksdd2, "--report", tmp_path, "--json")
    assert code == 0
    assert "4 detectors are to be fitted and evaluated." in err
    assert len(re.findall(r"What is left takes about \d+ (s|min)\.", err)) == 1
    assert "What is left" in err.split("Fitting takes about")[1]  # before the second normal banks
    defective = [s.image for s in Manifest.load(ksdd2).part("test", "positive")]
    assert set(defective) <= set(json.loads(out)["images"])
    picture = np.asarray(Image.open(tmp_path / "figure5.png"))
    assert picture.shape[1] > 6 * 170  # six columns
    assert "data:image/png" in (tmp_path / "figure5.html").read_text()

    chosen = Manifest.load(ksdd2).part("test", "negative").samples[0].image
    code, out, _ = run(*("figure5", ksdd2, "--report", tmp_path, "--json", "--images", chosen))
    assert json.loads(out)["images"] == [chosen]
    assert np.asarray(Image.open(tmp_path / "figure5.png")).shape[0] < picture.shape[0]


def test_tables_read_well_in_80_columns(run, ksdd2, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run("table1", ksdd2, "--seeds", 1)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    for method in METHODS:
        assert len(re.findall(rf"^{method} +\d\.\d{{3}} ", out, re.MULTILINE)) >= 5
    assert re.search(r"^PatchCore +\d\.\d{3} +\[\d\.\d{3}, \d\.\d{3}\] *$", out, re.MULTILINE)
    difference = r"[+-]\d\.\d{3} \[[+-]\d\.\d{3}, [+-]\d\.\d{3}\]"
    assert re.search(rf"^PatchCoreDual with poisson .*{difference} *$", out, re.MULTILINE)
    assert "thesis 0.912" in out


def test_figure1(run, tiles, tmp_path, monkeypatch):
    """And after the first generator, how long the others take."""
    clock = iter(range(0, 10_000, 60))  # each look at it is a minute later
    monkeypatch.setattr(figure1_module.time, "perf_counter", lambda: next(clock))
    code, out, err = run("figure1", tiles, "--report", tmp_path, "--json")
    assert code == 0
    assert err.count("What is left takes about") == 1
    assert re.search(r"takes about \d+ min\.", err)
    assert json.loads(out)["rows"] == ["Normal", "Real defects", *protocols.CPU_GENERATORS]
    assert np.asarray(Image.open(tmp_path / "figure1.png")).ndim == 3
    page = (tmp_path / "figure1.html").read_text()
    assert "data:image/png" in page
    assert "Backbone" not in page  # it takes none


def test_a_page_says_that_masks_of_test_defects_were_used(run, ksdd2, tmp_path):
    manifest = Manifest.load(ksdd2)
    defect = manifest.part("train", "positive").samples[0]
    flag = {"test_masks": True, "parents": [defect.image]}
    made = [replace(defect, origin="diag", provenance={**flag, "index": i}) for i in range(4)]
    shutil.copytree(ksdd2, tmp_path / "p")
    Manifest(tmp_path / "p", (*manifest, *made)).save()
    arguments = ("table1", tmp_path / "p", "--seeds", 1, "--report", tmp_path / "r")
    code, out, _ = run(*arguments, "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["rows"][-1]["method"] == "PatchCoreDual with DIAG"
    assert "masks of test defects were used" in answer["facts"]["Caution"]
    page = (tmp_path / "r/table1.html").read_text()
    assert "masks of test defects were used" in page
    assert "thesis 0.977" in page  # beside our own with DIAG


def test_bad_input_is_one_clear_message(run, ksdd2, prepared, tmp_path):
    def message_of(*arguments):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        assert err.count("error:") + err.count("─ Error ─") == 1
        return err

    assert "'table9' is not one of 'table1', 'table2', 'figure1'" in message_of("table9", ksdd2)
    assert "--seeds is 0; give at least 1" in message_of("table1", ksdd2, "--seeds", 0)
    assert "--draws is 0; give at least 1" in message_of("few-shot", ksdd2, "--draws", 0)
    assert "not one of 'official', 'group'" in message_of("table1", ksdd2, "--splits", "random")
    assert "names no kinds of defect" in message_of("unseen-kinds", ksdd2)
    assert "give the folder for it with --report" in message_of("figure5", ksdd2)
    assert "give the folder for it with --report" in message_of("figure1", ksdd2)
    assert "--generator is for table1" in message_of("few-shot", ksdd2, "--generator", "poisson")
    assert "no generator 'x'; there are: poi" in message_of("table1", ksdd2, "--generator", "x")
    assert "not one of 'auto', 'cpu', 'cuda'" in message_of("table1", ksdd2, "--device", "tpu")
    assert "--images is for figure5" in message_of("table1", ksdd2, "--images", "a.png")
    gone = tmp_path / "gone.pth"
    assert f"no weights file {gone}" in message_of("table1", ksdd2, "--weights", gone).replace(
        "\n", ""
    )
    assert "is not a prepared data set" in message_of("table1", tmp_path)
    shown = ("figure5", ksdd2, "--report", tmp_path, "--images", "a.png")
    assert "a.png is not a test image" in message_of(*shown)


def test_no_defective_test_images(run, ksdd2, tmp_path):
    manifest = Manifest.load(ksdd2)
    moved = [replace(s, split="train") if s.is_defective else s for s in manifest]
    Manifest(tmp_path, tuple(moved)).save()
    code, _, err = run("table1", tmp_path)
    assert code == 2
    assert "no defective test images" in err


def test_help_names_every_choice_and_fits_80_columns(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run("--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for target in (*protocols.PROTOCOLS, "figure1", "figure5", "official", "cuda"):
        assert target in out
    assert "patchcore-dual reproduce table1 prepared" in out


def test_the_targets_of_the_command_line_are_all_there_are():
    assert set(get_args(Target)) == {*protocols.PROTOCOLS, *FIGURES}
    assert set(get_args(ProtocolName)) == set(protocols.PROTOCOLS)
    assert set(get_args(FigureName)) == set(FIGURES)


def test_trials_of_several_processes_give_the_same_tables(run, tiles):
    command = ("few-shot", tiles, "--seeds", 1, "--draws", 1, "--json")
    alone, together = run(*command), run(*command, "--workers", 2)
    assert together[0] == 0
    assert json.loads(together[1])["rows"] == json.loads(alone[1])["rows"]
    code, _, err = run("figure5", tiles, "--report", "nowhere", "--workers", 2)
    assert code == 2
    assert "figure5 is made in one go: --ray and --workers are for the tables." in err
