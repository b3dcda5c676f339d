"""`region`: what it says, what it refuses, and that `undo` takes it back."""

import json

import cv2
import numpy as np
import pytest

from lookalikes import save
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.model import load_model


@pytest.fixture
def model(fitted_with, tmp_path):
    fitted_with().save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def fixture(model, tmp_path):
    """A file of polygons around the upper eighth, drawn at ten times the size of the images."""
    width, height = (10 * side for side in load_model(model).size)
    top = [[0, 0], [width, 0], [width, height // 8], [0, height // 8]]
    path = tmp_path / "fixture.json"
    path.write_text(json.dumps({"width": width, "height": height, "ignore": [top]}))
    return path


def test_a_model_is_narrowed_in_one_command(run, model, fixture):
    before = run("region", model)
    assert "inspects 100.0% of each image of" in before.out
    shown = run("region", model, "--ignore", fixture, "--preview", "--json").json
    share = shown["effects"]["share inspected"]
    assert share == [1.0, pytest.approx(0.875, abs=0.05)]
    assert shown["accepted"] is False
    done = run(
        *("region", model, "--ignore", fixture, "--force"),
        *("--by", "Ada", "--why", "a clamp that shines"),
    )
    assert done.code == 0, done.err
    assert f"Share inspected: 100.0 % → {100 * share[1]:.1f} %" in done.out
    assert f"To take this back: patchcore-dual undo {model}" in done.out
    assert run("region", model, "--json").json["inspected_share"] == share[1]
    history = run("history", model).out
    assert f"region narrowed: {share[1]:.1%} of each image is inspected, not 100.0%;" in history
    assert "a clamp that shines" in history
    differs = run("diff", f"{model}@1", model, "--json").json
    assert differs["images"]["inspected_share"] == share
    narrowed = load_model(model)
    rows = narrowed.calibration.evidence.normals[0].evidence.normal.distance.shape[0]
    assert narrowed.normal_bank.cell[:, 0].min() >= rows // 8
    again = run("region", model, "--ignore", fixture)
    assert again.code == 2
    assert "nothing changes: this region leaves out no cell" in again.err
    assert "`patchcore-dual undo`" in again.err
    assert run("undo", model).code == 0
    assert "inspects 100.0%" in run("region", model).out
    assert run("history", model, "--verify").code == 0


def test_a_region_that_hides_a_defect_is_refused(run, fails, model, prepared, tmp_path):
    image = read_image(prepared.image_path(prepared.part("test", "positive").samples[0])).copy()
    image[64:80, 16:48] = 255 - image[64:80, 16:48]
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[64:80, 16:48] = 255
    save(tmp_path / "new.png", image)
    save(tmp_path / "mask.png", mask)
    new = ("--defect", "--mask", tmp_path / "mask.png", "--force")
    assert run("teach", model, tmp_path / "new.png", *new).code == 0
    refused = run("region", model, "--ignore", tmp_path / "mask.png")
    assert refused.code == 1, refused.err
    assert "Refused; the model is as it was." in refused.out
    assert "1 of 4 known defects would lie wholly outside, where nothing is found" in refused.out
    assert load_model(model).roi is None
    defect = prepared.mask_path(prepared.part("train", "positive").samples[1])
    wide = cv2.dilate(read_mask(defect).astype(np.uint8), np.ones((21, 21), np.uint8))
    save(tmp_path / "all.png", np.maximum(255 * wide, mask))
    assert "leaves out the defects of all 4" in fails(
        "region", model, "--ignore", tmp_path / "all.png"
    )


def test_what_cannot_be_done(fails, model, tmp_path):
    white = tmp_path / "white.png"
    save(white, np.full((10, 90), 255, np.uint8))
    assert "give --roi or --ignore" in fails("region", model, "--preview")
    assert "proportions differ" in fails("region", model, "--roi", white)
    assert "leaves nothing to inspect" in fails("region", model, "--ignore", white)
    assert "is not a model" in fails("region", tmp_path, "--roi", white)
