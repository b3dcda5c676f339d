"""`teach`: what it says, what it changes, and that it takes no PyTorch."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from patchcore_dual.data.reading import read_image, read_mask, write_png
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.model import load_model
from patchcore_dual.model.folder import MODEL_FILE


@pytest.fixture(scope="module")
def fitted(prepared, fitted_with, tmp_path_factory):
    """Folders of a model with defects and of one without, both ready to be taught."""
    from patchcore_dual.live import CalibrationImages

    folder = tmp_path_factory.mktemp("teach")
    for name, detector in (
        ("dual", fitted_with()),
        ("good", PatchCoreDual().fit(prepared, defects=0)),
    ):
        detector.save(folder / name)
        CalibrationImages(detector.model, detector.embed, folder / name)
    return folder


@pytest.fixture
def model(fitted, tmp_path):
    return shutil.copytree(fitted / "dual", tmp_path / "dual")


@pytest.fixture
def good_model(fitted, tmp_path):
    return shutil.copytree(fitted / "good", tmp_path / "good")


@pytest.fixture(scope="module")
def missed(prepared, tmp_path_factory):
    """A folder with the image of a defect, part.png, and its mask, mask.png."""
    folder = tmp_path_factory.mktemp("missed")
    sample = prepared.part("train", "positive").samples[0]
    image = read_image(prepared.image_path(sample)).astype(np.int64) + 3
    write_png(folder / "part.png", image.clip(0, 255).astype(np.uint8))
    write_png(folder / "mask.png", read_mask(prepared.mask_path(sample)))
    return folder


def test_a_missed_defect_is_taught_in_one_command(run, good_model, missed):
    before = run("inspect", good_model, missed / "part.png", "--json").json["results"][0]
    taught = run(
        *("teach", good_model, missed / "part.png", "--defect"),
        *("--mask", missed / "mask.png", "--kind", "crack"),
    )
    assert taught.code == 0
    assert "part.png: pass →" in taught.out
    assert "defect." in taught.out
    assert f"{good_model} is taught." in taught.out
    after = run("inspect", good_model, missed / "part.png", "--json").json["results"][0]
    assert (before["verdict"], before["nearest_defect"]) == ("pass", None)
    assert after["verdict"] != "pass"
    assert after["nearest_defect"]["image"].endswith("/part.png")
    model = load_model(good_model)
    assert model.trained_on["kinds"] == ["crack"]
    assert model.calibration.defectives[-1].endswith("/part.png")


def test_every_teaching_is_a_version_that_undo_takes_back(run, good_model, missed):
    before = (good_model / MODEL_FILE).read_bytes()
    said = ("--by", "Ada", "--why", "missed on line 2", "--force")
    run("teach", good_model, missed / "part.png", "--defect", "--kind", "crack", *said)
    last = run("history", good_model, "--json").json["versions"][-1]
    assert (last["action"], last["by"], last["why"]) == ("teach", "Ada", "missed on line 2")
    (image,) = last["images"]
    assert image["name"].endswith("/part.png")
    assert (image["label"], image["kind"]) == ("defect", "crack")
    assert last["effects"]["defect patches added"] >= 1
    assert run("history", good_model, "--verify").code == 0
    run("teach", good_model, "--remove", "part.png", "--force")
    last = run("history", good_model, "--json").json["versions"][-1]
    assert (last["action"], last["images"][0]["label"]) == ("remove", "defect")
    run("undo", good_model)
    assert run("inspect", good_model, missed / "part.png", "--json").json["results"][0][
        "nearest_defect"
    ]
    run("undo", good_model)
    assert (good_model / MODEL_FILE).read_bytes() == before
    again = run("teach", good_model, missed / "part.png", "--defect", "--force")
    assert again.code == 0


def test_a_dry_run_shows_the_same_and_changes_nothing(run, model, missed, prepared, tmp_path):
    paths = [prepared.image_path(s) for s in prepared.part("test")]
    log = tmp_path / "log.jsonl"
    log.write_text(run("inspect", model, *paths, "--jsonl").out)
    before = (model / MODEL_FILE).read_bytes()
    options = ("--mask", missed / "mask.png", "--log", log, "--last", "4", "--dry-run")
    result = run("teach", model, missed / "part.png", "--defect", *options)
    assert "the last 4 inspected images" in result.out
    assert "Nothing was changed." in result.out
    assert result.code == (1 if "would be refused" in result.out else 0)
    facts = run("teach", model, missed / "part.png", "--defect", *options, "--json").json
    assert facts["n_inspected"] == 4
    assert not facts["accepted"]
    assert facts["gained_defect"] >= 1
    assert facts["effects"]["threshold"][0] == load_model(model).thresholds.image.value
    assert (model / MODEL_FILE).read_bytes() == before


def test_what_costs_too_much_is_refused_without_force(run, model, missed, monkeypatch):
    from patchcore_dual.live import preview

    monkeypatch.setattr(preview, "recall_left_out", lambda before, after: (0.9, 0.5))
    before = (model / MODEL_FILE).read_bytes()
    teach = ("teach", model, missed / "part.png", "--defect", "--mask", missed / "mask.png")
    result = run(*teach)
    assert result.code == 1
    assert "would fall from 0.90 to 0.50, by more than 0.02." in result.out
    assert (model / MODEL_FILE).read_bytes() == before
    assert "would fall" not in run(*teach, "--max-loss", "0.9").out


def test_force_teaches_it_all_the_same(run, model, missed, monkeypatch):
    from patchcore_dual.live import preview

    monkeypatch.setattr(preview, "recall_left_out", lambda before, after: (0.9, 0.5))
    result = run("teach", model, missed / "part.png", "--defect", "--force", "--json")
    assert result.code == 0
    assert result.json["accepted"]
    assert result.json["refusals"]
    assert result.json["fingerprint"] == PatchCoreDual.load(model).fingerprint


def test_a_bad_training_image_is_found_and_removed(run, model, missed):
    found = run("inspect", model, missed / "part.png", "--json").json["results"][0]
    source = found["nearest_defect"]["image"]
    result = run("teach", model, "--remove", source, "--force")
    assert result.code == 0
    assert f"{source}: " in result.out
    again = run("inspect", model, missed / "part.png", "--json").json["results"][0]
    assert again["nearest_defect"]["image"] != source
    assert source not in load_model(model).calibration.sha256


def test_the_proposal_is_drawn_and_can_be_corrected(run, model, missed, tmp_path):
    folder = tmp_path / "pictures"
    result = run("teach", model, missed / "part.png", "--defect", "--dry-run", "--pictures", folder)
    assert "no mask was given" in result.out
    mask = read_mask(folder / "part-mask.png")
    image = read_image(missed / "part.png")
    assert mask.any()
    assert mask.shape == image.shape[:2]
    assert not np.array_equal(read_image(folder / "part.png"), image)
    again = ("--mask", folder / "part-mask.png", "--force")
    assert run("teach", model, missed / "part.png", "--defect", *again).code == 0


def test_a_model_made_ready_is_taught_without_its_training_images(
    run, prepared, fitted_with, missed, tmp_path
):
    model = tmp_path / "model"
    folder = shutil.copytree(prepared.folder, tmp_path / "prepared")
    fitted_with().save(model)
    entry = json.loads((model / MODEL_FILE).read_text())
    entry["calibration"]["prepared"] = str(folder)
    (model / MODEL_FILE).write_text(json.dumps(entry))
    assert "can be taught wherever" in run("teach", model, "--get-ready").out
    ready = json.loads(run("teach", model, "--get-ready", "--json").out)
    assert ready == {"model": str(model), "ready": True}
    shutil.rmtree(folder)
    teach = ("teach", model, missed / "part.png", "--defect", "--force")
    assert run(*teach).code == 0


def test_without_its_training_images_it_says_what_to_do(run, fails, prepared, model, missed):
    shutil.rmtree(model / "images")
    entry = json.loads((model / MODEL_FILE).read_text())
    entry["calibration"]["prepared"] = "/nowhere"
    (model / MODEL_FILE).write_text(json.dumps(entry))
    teach = ("teach", model, missed / "part.png", "--defect", "--force")
    message = fails(*teach)
    assert "9 of the 9 images" in message
    assert "--prepared" in message
    assert "--get-ready" in message
    assert run(*teach, "--prepared", prepared.folder).code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "there is nothing to teach"),
        (("IMAGE",), "--defect or --good"),
        (("IMAGE", "--defect", "--good"), "--defect or --good"),
        (("IMAGE", "--good", "--mask", "MASK"), "Leave --mask out with --good"),
        (("IMAGE", "--good", "--kind", "crack"), "give no mask and no kind"),
        (("IMAGE", "--defect", "--mask", "MASK", "--mask", "MASK"), "1 images and 2 masks"),
        (("IMAGE", "--defect", "--mask", "BLACK"), "is empty"),
        (("IMAGE", "--defect", "--mask", "WHITE"), "covers 100% of the image"),
        (("IMAGE", "--defect", "--mask", "SMALL"), "is 20x10 and its image 64x96"),
        (("IMAGE", "--defect", "--mask", "NOWHERE"), "NOWHERE"),
        (("NOWHERE", "--good"), "NOWHERE"),
        (("TEST", "--good"), "is the test image test/"),
        (("TRAIN", "--good"), "is in the model already, as train/"),
        (("TRAIN", "--defect"), "labelled a good part, and cannot be a defect too"),
        (("IMAGE", "--defect", "--max-loss", "2"), "--max-loss is 2"),
        (("IMAGE", "--defect", "--log", "NOWHERE"), "NOWHERE cannot be read"),
        (("IMAGE", "--defect", "--log", "TEXT"), "is not what `inspect --jsonl` prints"),
        (("IMAGE", "--defect", "--log", "TEXT", "--last", "0"), "--last is 0"),
        (("--remove", "7.png"), "no training image 7.png"),
        (("IMAGE", "--remove", "7.png"), "--remove teaches nothing"),
        (("IMAGE", "--get-ready"), "--get-ready teaches nothing"),
    ],
)
def test_bad_input_is_one_error_and_changes_nothing(
    fails, fitted, missed, prepared, tmp_path, options, message
):
    train, test = (prepared.part(split, "negative").samples[0] for split in ("train", "test"))
    shapes = {"BLACK": np.zeros((96, 64)), "WHITE": np.ones((96, 64)), "SMALL": np.eye(10, 20)}
    paths = {
        "IMAGE": missed / "part.png",
        "MASK": missed / "mask.png",
        "TRAIN": prepared.image_path(train),
        "TEST": prepared.image_path(test),
        "TEXT": tmp_path / "TEXT",
    }
    (tmp_path / "TEXT").write_text("part.png: reject\n")
    for name, shape in shapes.items():
        paths[name] = tmp_path / f"{name}.png"
        write_png(paths[name], shape.astype(bool))
    before = (fitted / "dual" / MODEL_FILE).read_bytes()
    assert message in fails("teach", fitted / "dual", *(paths.get(o, o) for o in options))
    assert (fitted / "dual" / MODEL_FILE).read_bytes() == before


def test_a_model_without_a_calibration_set(fails, model, missed):
    entry = json.loads((model / MODEL_FILE).read_text())
    entry["calibration"] = None
    (model / MODEL_FILE).write_text(json.dumps(entry))
    assert "keeps no calibration set" in fails("teach", model, missed / "part.png", "--defect")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(fails, model, missed):
    model.chmod(0o555)
    try:
        assert "not writable" in fails("teach", model, missed / "part.png", "--defect")
    finally:
        model.chmod(0o755)


def test_it_takes_no_pytorch(model, missed):
    arguments = [str(a) for a in ("teach", model, missed / "part.png", "--defect", "--force")]
    code = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "def find_others(name, *rest):\n"
        "    return None if name.partition('.')[0] == 'torch' else find(name, *rest)\n"
        "PathFinder.find_spec = find_others\n"
        f"sys.argv = ['patchcore-dual', *{arguments!r}]\n"
        "from patchcore_dual.cli.main import main\n"
        "main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "is taught" in result.stdout


def test_pictures_replace_no_file(run, model, missed, tmp_path):
    """It may be the image that is taught, or a mask that was corrected."""
    image = tmp_path / "part.png"
    shutil.copy(missed / "part.png", image)
    before, there = image.read_bytes(), (model / MODEL_FILE).read_bytes()
    refused = run("teach", model, image, "--defect", "--kind", "crack", "--pictures", tmp_path)
    assert refused.code == 2
    assert "part.png is there already" in refused.err
    assert (image.read_bytes(), (model / MODEL_FILE).read_bytes()) == (before, there)
