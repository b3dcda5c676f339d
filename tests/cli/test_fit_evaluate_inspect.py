"""The commands as a user runs them: exit codes, what is printed, what is written."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.deciding_cards import deciding_cards
from patchcore_dual.model import load_model, save_model
from patchcore_dual.model.schema import MODEL_FILE
from patchcore_dual.utils.checkpoint import JOURNAL_NAME
from training.made_up import make_stained


def first(manifest, split, label):
    manifest = manifest.part(split, label)
    return manifest.image_path(manifest.samples[0])


def test_fit_evaluate_inspect(run, prepared, tmp_path):
    """The usual way, each command doing what the one before said."""
    model = tmp_path / "model"
    fitted = run("fit", prepared.folder, "--model", model, "--scoring", "ratio")
    assert fitted.code == 0
    assert re.search(r"6 normal images \(\d+ vectors\) and 3 defective ones \(\d+ v", fitted.out)
    assert "at most 25.0 % promised, from 6 held-out good images in 3 groups" in fitted.out
    assert (
        "1.0 % cannot be promised: 3 groups of good parts allow no less than 25.0 %" in fitted.out
    )
    assert "Review above" in fitted.out
    assert f"patchcore-dual evaluate {model} {prepared.folder}" in fitted.out

    evaluated = run("evaluate", model, prepared.folder)
    assert evaluated.code == 0
    for row in ("Image AUROC", "Pixel AP", "AUPRO", "At the model's own threshold"):
        assert row in evaluated.out

    inspected = run("inspect", model, first(prepared, "train", "positive"))
    assert inspected.code == 0
    assert ": reject  score " in inspected.out
    assert "most like the defect in train/" in inspected.out


def test_a_second_fit_into_a_model_names_the_first_and_a_killed_one_holds_nothing(
    run, fails, prepared, tmp_path
):
    model = tmp_path / "model"
    command = ["fit", prepared.folder, "--model", model, "--scoring", "patchcore"]
    program = "from patchcore_dual.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, command)], stderr=subprocess.DEVNULL
    )
    try:
        lock = tmp_path / ".model.lock"
        while not lock.is_file() or f"process {process.pid} on" not in lock.read_text():
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        message = fails(*command)
    finally:
        process.kill()
        process.wait()
    assert f"{model} is in use: another fit is running there (process {process.pid} on" in message
    assert "Wait until it has ended. Or give another --model." in message
    assert run(*command).code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_the_places_guessed_for_defects_without_masks_are_shown_on_a_sheet(run, prepared, tmp_path):
    data, model = tmp_path / "data", tmp_path / "model"
    shutil.copytree(prepared.folder, data)
    Manifest(data, tuple(replace(s, mask="") if s.split == "train" else s for s in prepared)).save()
    fitted = run("fit", data, "--model", model)
    sheet = model / "pseudo_masks.jpg"
    assert "Defective images without a mask: 3. The place of each defect was guessed." in fitted.out
    assert f"See them in {sheet}: where one is wrong, draw a mask" in fitted.out
    with Image.open(sheet) as picture:
        assert picture.width > 1000
        colours = np.asarray(picture.convert("RGB")).astype(int)
    assert ((colours[..., 0] - colours[..., 1]) > 100).sum() > 500  # outlines
    assert run("evaluate", model, data).code == 0
    again = run("fit", prepared.folder, "--model", model, "--overwrite", "--json").json
    assert again["pseudo_masks"] is None
    assert not sheet.exists()


def test_an_interrupted_fit_says_what_is_kept(run, prepared, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("patchcore_dual.training.single_fit.cross_fit", interrupt)
    result = run("fit", prepared.folder, "--model", tmp_path / "model")
    assert result.code != 0
    assert "Traceback" not in result.err
    assert "What is finished is kept: the same command continues from there." in result.err
    monkeypatch.undo()


def test_fit_keeps_the_model_that_it_replaces_and_says_so(run, fails, prepared, tmp_path):
    model = tmp_path / "model"
    command = ["fit", prepared.folder, "--model", model, "--scoring", "patchcore"]
    first_ = run(*command)
    assert first_.code == 0
    assert "former" not in first_.out
    before = PatchCoreDual.load(model).fingerprint
    assert "already holds a model" in fails(*command, "--seed", 1)
    assert PatchCoreDual.load(model).fingerprint == before
    second = run(*command, "--seed", 1, "--overwrite")
    assert second.code == 0
    assert "The former model stays as version 1" in second.out
    assert PatchCoreDual.load(tmp_path / "model@1").fingerprint == before
    third = run(*command, "--seed", 2, "--overwrite", "--json").json
    assert third["former_version"] == 2


# `fit`, which waits after each entry of its journal, so that it is killed right after it.
SLOW_FIT = """
import time
from patchcore_dual.utils.checkpoint import Checkpoint
record = Checkpoint.record
def slowly(*arguments, **options):
    record(*arguments, **options)
    time.sleep(0.2)
Checkpoint.record = slowly
from patchcore_dual.cli.main import main
main()
"""


def test_a_killed_fit_goes_on_to_the_same_model(run, prepared, tmp_path):
    """Killed outright in the middle, after some images' features and after some distances."""
    options = ("--scoring", "patchcore", "--seed", 1)
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert run("fit", prepared.folder, "--model", whole, *options).code == 0
    folder = tmp_path / ".resumed.unfinished"
    journal = folder / JOURNAL_NAME
    command = [sys.executable, "-c", SLOW_FIT, "fit", prepared.folder, "--model", resumed, *options]
    for entry in ("projected normal images", "out-of-fold distances"):
        process = subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL)
        try:
            while not journal.is_file() or entry not in journal.read_text():
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.001)
        finally:
            process.kill()
            assert process.wait() == -signal.SIGKILL
        assert 1 <= journal.read_text().count(entry) < 6  # of six normal images
        assert not resumed.exists()
    result = run("fit", prepared.folder, "--model", resumed, *options)
    assert result.code == 0
    assert "Continuing what an interrupted run left" in result.err
    assert not folder.exists()
    files = {f.name: f.read_bytes() for f in whole.iterdir()}
    assert {f.name: f.read_bytes() for f in resumed.iterdir()} == files


@pytest.mark.parametrize(
    ("size", "message"), [("20MiB", "too little for these images"), ("much", "as 800MiB or 4GiB")]
)
def test_too_little_memory(fails, prepared, tmp_path, size, message):
    assert message in fails("fit", prepared.folder, "--model", tmp_path / "m", "--memory", size)
    assert not (tmp_path / "m").exists()


def test_fit_says_as_json_what_it_made(run, prepared, tmp_path):
    model = tmp_path / "model"
    facts = run("fit", prepared.folder, "--model", model, "--json").json
    loaded = PatchCoreDual.load(model).model
    assert facts["normal_vectors"] == len(loaded.normal_bank)
    assert facts["defect_vectors"] == len(loaded.defect_bank)
    assert facts["threshold"] == loaded.thresholds.image.value
    assert facts["false_alarm_rate_asked"] == 0.01
    assert facts["false_alarm_rate_promised"] == pytest.approx(1 / 4)
    assert facts["false_alarm_rate_expected"] == pytest.approx(0.01, rel=0.01)
    assert (facts["held_out_images"], facts["held_out_groups"]) == (6, 3)
    assert facts["scoring"] == loaded.settings.scoring
    assert facts["review_threshold"] == loaded.thresholds.review.value
    points = facts["operating_points"]
    assert [p["threshold"]["asked"] for p in points] == [0.001, 0.005, 0.01, 0.02, 0.05, 0.1]
    assert points[2]["threshold"]["value"] == facts["threshold"]
    assert facts["trained_on"]["defective_images"] == 3


def test_every_option_of_fit_arrives(run, prepared, tmp_path):
    model = tmp_path / "model"
    options = {
        "--levels": "1,2",
        "--scoring": "contrast",
        "--patches": "crop",
        "--bank-vectors": "projected",
        "--normal-rate": "0.2",
        "--defect-rate": "0.3",
        "--false-alarm-rate": "0.2",
        "--review-rate": "0.4",
        "--seed": "5",
        "--search": "approximate",
        "--precision": "float32",
        "--resolutions": "1,2",
        "--backbone": "efficientnet_lite0",
        "--device": "cpu",
    }
    flat = [part for pair in options.items() for part in pair]
    flat.append("--no-count-padding")
    assert run("fit", prepared.folder, "--model", model, *flat).code == 0
    assert PatchCoreDual.load(model).settings.model_dump() == {
        "backbone": "efficientnet_lite0",
        "levels": (1, 2),
        "defect_levels": None,
        "resolutions": (1, 2),
        "count_padding": False,
        "scoring": "contrast",
        "patches": "crop",
        "bank_vectors": "projected",
        "normal_rate": 0.2,
        "defect_rate": 0.3,
        "false_alarm_rate": 0.2,
        "review_rate": 0.4,
        "search": "approximate",
        "precision": "float32",
        "seed": 5,
        "tile": None,
        "overlap": None,
        "robust": "none",
    }


def test_the_preset_and_what_goes_before_it(run, prepared, tmp_path):
    model = tmp_path / "model"
    options = ("--preset", "thesis", "--backbone", "efficientnet_lite0")
    assert run("fit", prepared.folder, "--model", model, *options).code == 0
    settings = PatchCoreDual.load(model).settings
    assert (settings.scoring, settings.patches) == ("thesis", "crop")
    assert settings.backbone == "efficientnet_lite0"


def test_fewer_defects(run, prepared, tmp_path):
    one = run("fit", prepared.folder, "--model", tmp_path / "a", "--defects", 1, "--json").json
    assert one["trained_on"]["defective_images"] == 1
    none = run("fit", prepared.folder, "--model", tmp_path / "b", "--defects", 0)
    assert none.code == 0
    assert "No defect bank" in none.out


def test_excluded_kinds(run, prepared, tmp_path):
    folder = shutil.copytree(prepared.folder, tmp_path / "p")
    kinds = {s.image: "crack" for s in prepared.part(label="positive")}
    kinds[prepared.part("train", "positive").samples[1].image] = "rust"
    Manifest(folder, tuple(replace(s, kind=kinds.get(s.image, "")) for s in prepared)).save()
    options = ("--exclude-kind", "crack", "--json")
    facts = run("fit", folder, "--model", tmp_path / "m", *options).json
    assert facts["trained_on"]["kinds"] == ["rust"]
    assert facts["trained_on"]["defective_images"] == 1


def test_mislabelled_images_are_set_aside_unless_all_are_kept(run, tmp_path):
    stained = make_stained(tmp_path, good=20, defective=12, side=48)
    wrong = {s.image for s in stained.part(label="positive").samples[:2]}
    stained.where(
        replace(s, label="negative", mask="", split="train") if s.image in wrong else s
        for s in stained
    ).save()
    fitted = run("fit", tmp_path, "--model", tmp_path / "model")
    assert fitted.code == 0
    assert "Set aside as probably mislabelled, 2 good images: 2" in fitted.out
    assert "fitted on 20 normal images" in fitted.out
    described = run("fit", tmp_path, "--model", tmp_path / "model", "--overwrite", "--json").json
    assert set(described["trained_on"]["set_aside"]) == wrong
    assert {one["image"] for one in described["deciding_images"]["set_aside"]} == wrong
    cards = deciding_cards(load_model(tmp_path / "model"), Manifest.load(tmp_path))
    assert {card.name for card in cards[:2]} == wrong
    assert all(card.picture for card in cards)
    kept = run("fit", tmp_path, "--model", tmp_path / "other", "--keep-all")
    assert "Set aside" not in kept.out
    assert "fitted on 22 normal images" in kept.out


def test_evaluate_writes_what_it_is_asked_for(run, model_folder, detector, prepared, tmp_path):
    result = run(
        *("evaluate", model_folder, prepared.folder, "--json"),
        *("--scores", tmp_path / "out/scores.csv"),
        *("--maps", tmp_path / "out/maps"),
        *("--report", tmp_path / "out/report"),
    )
    assert result.code == 0
    figures = result.json
    assert {
        *("image_auroc", "image_ap", "pixel_auroc", "pixel_ap", "aupro", "best_f1"),
        *("recall_at_fpr_01", "recall_at_fpr_05", "threshold", "recall", "false_alarm_rate"),
        *("n_test_normal", "n_test_defective", "scoring", "backbone", "weights_sha256"),
        *("size", "seed", "images"),
    } <= set(figures)
    assert (figures["n_test_normal"], figures["n_test_defective"]) == (6, 3)
    assert figures["size"] == "64x96"
    assert figures["threshold"] == detector.model.thresholds.image.value
    assert len(figures["operating_points"]) == 6

    test = prepared.part("test")
    inspections = {s.image: detector.inspect(prepared.image_path(s)) for s in test}
    assert [i["path"] for i in figures["images"]] == [s.image for s in test]
    for image, sample in zip(figures["images"], test, strict=True):
        assert {"path", "label", "kind", "score"} <= set(image)
        assert (image["label"], image["kind"]) == (sample.label, sample.kind)
        assert image["score"] == inspections[image["path"]].score
    with (tmp_path / "out/scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, image in zip(rows, figures["images"], strict=True):
        assert row["path"] == image["path"]
        assert float(row["score"]) == image["score"]
    for name, inspection in inspections.items():
        heat = np.load((tmp_path / "out/maps" / name).with_suffix(".npy"))
        assert heat.dtype == np.float32
        np.testing.assert_array_equal(heat, inspection.anomaly_map)
    assert (tmp_path / "out/report/report.html").stat().st_size > 10_000
    on_disk = json.loads((tmp_path / "out/report/evaluation.json").read_text())
    assert on_disk == figures


def test_evaluate_keeps_the_report_that_it_replaces_and_says_so(
    run, model_folder, prepared, tmp_path
):
    command = ("evaluate", model_folder, prepared.folder, "--report", tmp_path)
    (tmp_path / "report.html").write_text("my own page")
    result = run(*command)
    kept = tmp_path / "report.previous.html"
    assert kept.read_text() == "my own page"
    assert f"The former report is kept as {kept}" in result.out.replace("\n", " ")
    again = run(*command)
    assert "former report" not in again.out
    assert not (tmp_path / "report.previous-2.html").exists()


def test_evaluate_the_training_side(run, model_folder, prepared):
    figures = run("evaluate", model_folder, prepared.folder, "--split", "train", "--json").json
    assert {i["path"].split("/")[0] for i in figures["images"]} == {"train"}


def test_no_prepared_folder(fails, tmp_path):
    message = fails("fit", tmp_path / "nowhere", "--model", tmp_path / "m")
    assert "is not a prepared data set" in message
    assert "patchcore-dual prepare" in message
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (lambda s: s.split == "test", "no image is in the train split"),
        (lambda s: s.split == "test" or s.is_defective, "no normal images"),
    ],
)
def test_nothing_to_learn_from(fails, prepared, tmp_path, kept, message):
    folder = shutil.copytree(prepared.folder, tmp_path / "p")
    Manifest(folder, tuple(s for s in prepared if kept(s))).save()
    assert message in fails("fit", folder, "--model", tmp_path / "m")
    assert not (tmp_path / "m" / MODEL_FILE).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--normal-rate", "0"), "setting normal_rate"),
        (("--false-alarm-rate", "1"), "setting false_alarm_rate"),
        (("--seed", "-1"), "setting seed"),
        (("--defects", "4"), "4 defective training images were asked for; there are 3"),
        (("--exclude-kind", "dent"), "no defect kind 'dent'"),
        (("--levels", "2;3"), "levels '2;3': give numbers, as 2,3"),
        (("--levels", "3,2"), "give increasing numbers of 1 to 4"),
        (("--levels", "5"), "give increasing numbers of 1 to 4"),
        (("--weights", "nowhere.pth"), "no weights file nowhere.pth"),
    ],
)
def test_a_wrong_option_of_fit(fails, prepared, tmp_path, options, message):
    assert message in fails("fit", prepared.folder, "--model", tmp_path / "m", *options)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--backbone", "vgg"),
        ("--scoring", "rato"),
        ("--preset", "thesiss"),
        ("--patches", "all"),
        ("--bank-vectors", "some"),
        ("--search", "some"),
        ("--device", "tpu"),
        ("--defects", "-1"),
    ],
)
def test_a_value_that_is_not_a_choice(run, prepared, tmp_path, option, value):
    result = run("fit", prepared.folder, "--model", tmp_path / "m", option, value)
    assert (result.code, result.out) == (2, "")
    assert f"Invalid value for '{option}'" in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "m").exists()


def test_missing_weights_say_how_to_get_them(fails, prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for option in (("--preset", "thesis"), ("--backbone", "resnet50")):
        message = fails("fit", prepared.folder, "--model", tmp_path / "m", *option)
        assert "https://download.pytorch.org/models/resnet50-0676ba61.pth" in message
        assert "--weights FILE" in message


def test_a_model_folder_that_is_none(fails, prepared, model_folder, tmp_path):
    (tmp_path / "photo.txt").touch()
    assert "is not a model folder" in fails("fit", prepared.folder, "--model", tmp_path)
    image = first(prepared, "train", "negative")
    assert "has no model.json" in fails("evaluate", tmp_path, prepared.folder)
    assert "has no model.json" in fails("inspect", tmp_path / "nowhere", image)
    damaged = shutil.copytree(model_folder, tmp_path / "damaged")
    next(damaged.glob("normal-*")).write_bytes(b"")
    assert "is damaged" in fails("inspect", damaged, image)


def test_wrong_arguments_of_evaluate(run, fails, model_folder, prepared, tmp_path):
    result = run("evaluate", model_folder, prepared.folder, "--split", "validation")
    assert result.code == 2
    assert "'validation' is not one of 'test', 'train'" in result.err
    assert "is not a prepared data set" in fails("evaluate", model_folder, tmp_path)


@pytest.mark.parametrize("arguments", [("fit",), ("fit", "p"), ("fit", "p", "--what"), ("fly",)])
def test_bad_usage_is_told_on_standard_error(run, arguments):
    result = run(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert "Usage" in result.err


@pytest.mark.parametrize(
    "command", [(), ("prepare",), ("audit",), ("fit",), ("evaluate",), ("inspect",), ("demo",)]
)
def test_help(run, command):
    result = run(*command, "--help")
    assert result.code == 0
    assert " ".join(["patchcore-dual", *command]) in result.out
    assert result.err == ""


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_importing_the_command_line_loads_nothing_heavy():
    heavy = ["torch", "numpy", "scipy", "sklearn", "matplotlib", "cv2", "PIL", "pydantic"]
    code = f"import sys, patchcore_dual.cli.main; print([m for m in {heavy} if m in sys.modules])"
    assert python(code).stdout.strip() == "[]"


def test_as_a_program(tmp_path):
    """In a process of its own: the message, the exit code, no traceback."""
    code = (
        "import sys; from patchcore_dual.cli.main import main; "
        f"sys.argv = ['patchcore-dual', 'inspect', {str(tmp_path)!r}, {str(tmp_path)!r}]; main()"
    )
    (tmp_path / "a.png").write_bytes(b"")
    result = python(code)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "has no model.json" in result.stderr
    assert "Traceback" not in result.stderr


def test_approximate_search_is_measured_and_kept_in_the_model(
    run, fitted_with, prepared, tmp_path, monkeypatch
):
    from patchcore_dual.banks import memory_bank

    model, exact = tmp_path / "model", fitted_with(scoring="patchcore")
    asked = ("fit", prepared.folder, "--model", model, "--scoring", "patchcore")
    assert "Search stays exact" in run(*asked, "--search", "approximate").out  # of so small a bank
    monkeypatch.setattr(memory_bank, "_SMALL", 100)
    fitted = run(*asked, "--search", "approximate", "--overwrite")
    assert fitted.code == 0
    assert "of exact ones on 6 training images" in fitted.out
    fast = PatchCoreDual.load(model)
    assert 0 < fast.model.adaptive_search.exact_share < 1
    for sample in Manifest.load(prepared.folder).part("test"):
        path = prepared.image_path(sample)
        assert fast.inspect(path).score == pytest.approx(exact.inspect(path).score, rel=1e-4)


def test_other_levels_for_the_defect_bank(run, prepared, tmp_path):
    """Each bank reads its own channels of a feature, however small it is."""
    model = tmp_path / "model"
    asked = ("fit", prepared.folder, "--model", model, "--levels", "2,3", "--defect-levels", "1,2")
    assert run(*asked).code == 0
    assert run("evaluate", model, prepared.folder).code == 0


def test_a_model_folder_of_which_nothing_can_be_beside(fails, prepared):
    assert "not a model folder" in fails("fit", prepared.folder, "--model", "/")


def test_figures_on_training_images_are_marked_everywhere(run, model_folder, prepared, tmp_path):
    options = ("--split", "train", "--report", tmp_path / "report")
    result = run("evaluate", model_folder, prepared.folder, *options)
    assert result.code == 0
    assert "† on images that the model was fitted on" in result.out
    assert "These images were used to fit the model" in result.out
    figures = re.findall(r"│ +([\d.]+(?: %)?(?: †)?) │", result.out)
    assert len(figures) >= 12
    unmarked = [f for f in figures if not f.endswith("†")]
    # By the fit: false alarms expected and promised, and the expected share for review.
    assert unmarked == ["1.0 %", "25.0 %", "4.0 %"]
    page = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    assert "These images were used to fit the model" in page
    values = json.loads((tmp_path / "report/evaluation.json").read_text())
    assert values["n_training_images"] == len(values["images"]) == 9
    assert "These images were used" in values["warnings"][0]


def test_another_split_of_the_same_images_is_refused(
    run, fails, model_folder, detector, prepared, tmp_path
):
    """Prepared once more with other sides: some test images are those the model was fitted on."""
    again = shutil.copytree(prepared.folder, tmp_path / "again")
    sides = {"train": "test", "test": "train"}
    Manifest(again, tuple(replace(s, split=sides[s.split]) for s in prepared)).save()
    message = fails("evaluate", model_folder, again, "--json")
    assert "the model was fitted on 9 of the 9 test images" in message
    assert "--allow-training-images" in message
    figures = run("evaluate", model_folder, again, "--json", "--allow-training-images").json
    assert figures["n_training_images"] == 9
    older = replace(detector.model, read_calibration=lambda: None)
    save_model(older, tmp_path / "older")
    figures = run("evaluate", tmp_path / "older", again, "--json").json
    assert figures["n_training_images"] is None
    assert "cannot be checked" in figures["warnings"][0]


def test_training_photographs_in_another_size_or_format_are_warned_of(
    run, model_folder, prepared, tmp_path
):
    source, n_training = prepared.folder.parent / "source", len(prepared.part("train"))
    sides = tmp_path / "sides.csv"
    turned = {(s.group, {"train": "test", "test": "train"}[s.split]) for s in prepared}
    sides.write_text("group,split\n" + "".join(f"{g},{side}\n" for g, side in sorted(turned)))
    options = ("--size", "48x80", "--split-file", sides)
    run("prepare", "kolektorsdd", source, tmp_path / "smaller", *options)
    figures = run("evaluate", model_folder, tmp_path / "smaller", "--json").json
    assert figures["n_training_images"] == 0
    assert figures["n_like_training"] == n_training
    assert "nearly repeat images that the model was fitted on" in figures["warnings"][0]

    again = shutil.copytree(prepared.folder, tmp_path / "again")
    Manifest(again, tuple(replace(s, split="test") for s in prepared)).save()
    for sample in prepared:  # the same pixels in other bytes
        with Image.open(prepared.image_path(sample)) as image:
            image.save(again / sample.image, compress_level=9)
    figures = run("evaluate", model_folder, again, "--json").json
    assert figures["n_like_training"] == n_training
    assert run("evaluate", model_folder, prepared.folder, "--json").json["n_like_training"] == 0


def test_scores_do_not_replace_what_is_read(fails, model_folder, prepared):
    before = (prepared.folder / "manifest.csv").read_bytes()
    path = prepared.folder / "manifest.csv"
    assert "folder that is read" in fails(
        "evaluate", model_folder, prepared.folder, "--scores", path
    )
    assert path.read_bytes() == before


def test_the_table_of_evaluate_fits_80_columns(run, model_folder, prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = shutil.copytree(model_folder, tmp_path / ("model-of-the-left-hand-bracket-" * 4))
    out = run("evaluate", long, prepared.folder, "--split", "train").out
    table = [line for line in out.splitlines() if line[:1] in "┏┃┡│├└"]
    assert len(table) > 15
    assert max(map(len, table)) <= 80
    assert "…" not in "".join(table)
