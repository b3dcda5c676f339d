"""Parts that move, as a user sees it: prepare --align, fit, inspect, evaluate, teach."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from lookalikes import bracket, make_brackets, save, surface
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.model import load_model


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Photographs of brackets that move, the same prepared with --align rigid, and a model."""
    from typer.testing import CliRunner

    from patchcore_dual.cli.main import app

    folder = tmp_path_factory.mktemp("brackets")
    photos = make_brackets(folder / "photos")
    for arguments in (
        ("prepare", "folder", photos, folder / "prepared", "--size", "160x120", "--align", "rigid"),
        ("fit", folder / "prepared", "--model", folder / "model"),
    ):
        result = CliRunner().invoke(app, [*map(str, arguments)])
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def images(tmp_path):
    """A good part that lies elsewhere, a scratched one, another product."""
    save(tmp_path / "new/good.png", bracket(500, -8, 7, -3)[0])
    save(tmp_path / "new/scratched.png", bracket(501, 9, -7, 3, scratched=True)[0])
    save(tmp_path / "new/other.png", surface(500, 160, 120))
    return tmp_path / "new"


def test_each_part_is_inspected_where_it_lies_and_another_product_is_not(run, folders, images):
    result = run("inspect", folders / "model", images, "--json")
    assert result.code == 0
    by_name = {r["path"].rpartition("/")[2]: r for r in result.json["results"]}
    assert by_name["other.png"]["verdict"] == "not inspected"
    assert "cannot be aligned" in by_name["other.png"]["motion"]["reason"]
    assert result.json["counts"]["not inspected"] == 1
    assert result.json["counts"]["error"] == 0
    good, scratched = by_name["good.png"], by_name["scratched.png"]
    assert (good["motion"]["x"], good["motion"]["y"]) != (0, 0)
    assert scratched["score"] > good["score"]
    assert scratched["verdict"] == "reject"
    truth = np.argwhere(bracket(501, 9, -7, 3, scratched=True)[1])
    region = scratched["regions"][0]
    top, left = truth.min(0)
    bottom, right = truth.max(0)
    assert region["x"] <= right
    assert left <= region["x"] + region["width"]
    assert region["y"] <= bottom
    assert top <= region["y"] + region["height"]


def test_what_is_not_inspected_never_passes(run, folders, images, tmp_path):
    other = images / "other.png"
    said = run("inspect", folders / "model", other, "--strict", "--out", tmp_path / "out")
    assert said.code == 1
    assert f"{other}: not inspected\n  it cannot be aligned" in said.out
    assert "1 image: 0 pass, 0 review, 0 reject, 1 not inspected" in said.out
    picture = next((tmp_path / "out").glob("*.jpg"))
    assert picture.name == "not-inspected-other.jpg"
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'id="show-not-inspected"' in page
    assert "panel card not-inspected" in page
    again = run("inspect", folders / "model", other, "--strict", "--out", tmp_path / "out")
    assert again.code == 1
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 1
    lines = run("inspect", folders / "model", other, "--jsonl", "--strict")
    assert lines.code == 1
    assert json.loads(lines.out)["verdict"] == "not inspected"


def test_pictures_and_maps_are_of_the_image_as_it_was_given(folders):
    detector = PatchCoreDual.load(folders / "model")
    large = np.asarray(
        Image.fromarray(bracket(501, 9, -7, 3, scratched=True)[0]).resize((320, 240))
    )
    inspection = detector.inspect(large)
    assert inspection.anomaly_map.shape == (240, 320)
    np.testing.assert_array_equal(inspection.image, large)
    truth = np.argwhere(bracket(501, 9, -7, 3, scratched=True)[1]).mean(0) * 2
    peak = np.unravel_index(inspection.anomaly_map.argmax(), (240, 320))
    assert np.hypot(*(np.array(peak) - truth)) < 40


def test_the_model_keeps_reference_and_limits(folders, tmp_path):
    model = load_model(folders / "model")
    assert model.aligner.mode == "rigid"
    detector = PatchCoreDual.load(folders / "model")
    detector.save(tmp_path / "copy")
    again = load_model(tmp_path / "copy")
    np.testing.assert_array_equal(again.aligner.reference, model.aligner.reference)
    assert again.aligner.settings() == model.aligner.settings()
    assert PatchCoreDual.load(tmp_path / "copy").fingerprint == detector.fingerprint
    reference = next((tmp_path / "copy").glob("reference-*"))
    reference.write_bytes(b"")
    with pytest.raises(Exception, match="damaged"):
        load_model(tmp_path / "copy")


def test_evaluation_counts_what_is_not_inspected(run, folders, tmp_path):
    """A test image of another product, put into the prepared folder as a good part."""
    prepared = shutil.copytree(folders / "prepared", tmp_path / "prepared")
    sample = Manifest.load(prepared).part("test", "negative").samples[0]
    save(prepared / sample.image, surface(7, 160, 120))
    result = run(
        "evaluate",
        folders / "model",
        prepared,
        "--report",
        tmp_path / "report",
        "--scores",
        tmp_path / "scores.csv",
        "--json",
    )
    assert result.code == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert ">Not inspected</th>" in page
    scores = (tmp_path / "scores.csv").read_text()
    assert scores.count("not inspected") == 1


def test_an_image_that_cannot_be_aligned_is_not_taught_and_others_are_aligned(
    run, fails, folders, images, tmp_path
):
    model = shutil.copytree(folders / "model", tmp_path / "model")
    said = fails("teach", model, images / "other.png", "--good")
    assert "other.png cannot be taught: it cannot be aligned" in said
    save(tmp_path / "mask.png", bracket(501, 9, -7, 3, scratched=True)[1])
    taught = run(
        "teach",
        model,
        images / "scratched.png",
        "--defect",
        "--mask",
        tmp_path / "mask.png",
        "--kind",
        "scratch",
        "--force",
    )
    assert taught.code == 0, taught.err
    after = load_model(model)
    assert after.aligner is not None
    name = next(n for n in after.trained_on["taught"] if "scratched" in n)
    cells = after.defect_bank.cell[after.defect_bank.image == after.defect_bank.sources.index(name)]
    still = np.argwhere(bracket(501, scratched=True)[1]).mean(0)
    assert np.hypot(*(16 * (cells.mean(0) + 0.5) - still)) < 16  # where it lies once aligned


def test_bad_options_are_refused(fails, folders, tmp_path):
    photos = folders / "photos"
    command = "prepare", "folder", photos, tmp_path / "p"
    assert "Add --align" in fails(*command, "--max-turn", "5")
    assert "at most 0.4" in fails(*command, "--align", "rigid", "--max-shift", "0.9")
    assert "none.png" in fails(*command, "--align", "rigid", "--align-to", tmp_path / "none.png")
    Image.new("RGB", (160, 120)).save(tmp_path / "blank.png")
    assert "blank" in fails(*command, "--align", "rigid", "--align-to", tmp_path / "blank.png")


def test_auto_aligns_where_held_out_defects_say_that_it_pays(run, folders, tmp_path):
    result = run(
        "prepare",
        "folder",
        folders / "photos",
        tmp_path / "p",
        "--size",
        "160x120",
        "--align",
        "auto",
        "--train-fraction",
        "0.9",
        "--json",
    )
    assert result.code == 0, result.err
    choice = result.json["alignment_choice"]
    without, with_ = choice["recall"]
    assert (choice["mode"] == "rigid") == ("Aligned: it finds more" in choice["reason"])
    assert (choice["mode"] == "rigid") <= (with_ > without)
    mode = (Manifest.load(tmp_path / "p").preparation()["alignment"] or {"mode": "none"})["mode"]
    assert mode == choice["mode"]


def test_auto_leaves_textures_as_they_are(run, fails, tmp_path):
    for number in range(8):
        save(tmp_path / f"photos/good/{number}.png", surface(number, 160, 120))
    command = "prepare", "folder", tmp_path / "photos", tmp_path / "p", "--align", "auto"
    result = run(*command, "--size", "160x120", "--train-fraction", "1")
    assert result.code == 0, result.err
    assert "Not aligned: nothing can be aligned to good/" in result.out
    assert Manifest.load(tmp_path / "p").preparation()["alignment"] is None
    assert "Leave --align out" in fails(*command, "--update")
