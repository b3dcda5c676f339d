"""`fit --precision int8`, what it costs, and `migrate`."""

import json
import re

import numpy as np
import pytest

from older_models import as_schema_7
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ModelError, SettingsError
from patchcore_dual.model import load_model
from patchcore_dual.model.folder import MODEL_FILE
from patchcore_dual.training import fit
from patchcore_dual.training.cpu_check import compare_scores


def test_integers_are_calibrated_before_the_banks(run, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("patchcore_dual.features.quantisation.LEAST_IMAGES", 9)
    model = tmp_path / "model"
    fitted = run(
        *("fit", prepared.folder, "--model", model, "--precision", "int8", "--compare-precision")
    )
    assert fitted.code == 0, fitted.err
    assert "can cost accuracy" not in fitted.out  # what it costs is said
    assert re.search(
        r"int8: AUROC [.\d]+, finds \d+% of 3 held-out defective images; float32: ", fitted.out
    )
    kept = load_model(model)
    assert (kept.spec.precision, kept.settings.precision) == ("int8", "int8")
    detector = PatchCoreDual.load(model)
    image = prepared.read_image(prepared.part("train", "negative").samples[0])
    distances = kept.normal_bank.nearest(detector.embed(image).reshape(-1, kept.spec.channels))
    # An image of the bank is near its own vectors only with the network that they were made by.
    floats = detector.with_settings(precision="float32")
    assert floats.embedder.spec.precision == "float32"
    others = kept.normal_bank.nearest(floats.embed(image).reshape(-1, kept.spec.channels))[0]
    assert np.median(distances[0]) < np.median(others)
    inspected = run("inspect", model, prepared.folder / "test", "--json")
    assert inspected.code == 0, inspected.err
    on_gpu = run("inspect", model, prepared.folder / "test", "--device", "cuda")
    assert on_gpu.code == 2
    assert "8-bit integers runs on a CPU only" in on_gpu.err


def test_integers_that_are_not_compared_come_with_a_warning(run, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("patchcore_dual.features.quantisation.LEAST_IMAGES", 9)
    command = ("fit", prepared.folder, "--model", tmp_path / "model", "--scoring", "ratio")
    fitted = run(*command, "--precision", "int8")
    assert "can cost accuracy" in fitted.out
    assert "--compare-precision" in fitted.out


def test_what_is_fitted_again_is_compared_with_floats(prepared, monkeypatch):
    compared = []
    monkeypatch.setattr("patchcore_dual.features.quantisation.LEAST_IMAGES", 9)
    monkeypatch.setattr(
        "patchcore_dual.training.fitting.precision_cost", lambda *models: compared.append(models)
    )
    detector = PatchCoreDual(scoring="ratio", precision="int8").fit(prepared)
    first = detector.fingerprint
    detector.fit(prepared, compare_precision=True)
    assert detector.fingerprint == first
    assert [model.spec.precision for model in compared[0]] == ["float32", "int8"]


def test_a_comparison_that_was_interrupted_is_resumed(run, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("patchcore_dual.features.quantisation.LEAST_IMAGES", 9)
    command = ("fit", prepared.folder, "--model", tmp_path / "model", "--scoring", "ratio")
    command += ("--precision", "int8", "--compare-precision")

    def interrupt(*models):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("patchcore_dual.training.fitting.precision_cost", interrupt)
        interrupted = run(*command)
    assert "the same command continues from there" in interrupted.err
    assert not (tmp_path / "model").exists()
    resumed = run(*command)
    assert resumed.code == 0, resumed.err
    assert "int8" in resumed.out


def test_banks_of_floats_make_no_model_of_integers(prepared, detector):
    settings = detector.settings.model_copy(update={"precision": "int8"})
    with pytest.raises(SettingsError, match="normal banks are of float32"):
        fit(prepared, detector.embedder, settings, normal_banks=object())


def test_bad_requests(run, prepared, tmp_path):
    few = run("fit", prepared.folder, "--model", tmp_path / "model", "--precision", "int8")
    assert few.code == 2
    assert "at least 10 training images, and there are 9" in few.err
    alone = run("fit", prepared.folder, "--model", tmp_path / "model", "--compare-precision")
    assert alone.code == 2
    assert "add --precision int8" in alone.err
    assert not (tmp_path / "model").exists()


def test_an_older_model_is_migrated_once(run, model_folder, prepared, tmp_path):
    model = tmp_path / "model"
    detector = PatchCoreDual.load(model_folder)
    detector.save(model)
    path, entry = model / MODEL_FILE, as_schema_7(model)
    del entry["settings"]["precision"]
    for role in ("graph", "graph_weights"):
        (model / entry["files"].pop(role)).unlink()
    path.write_text(json.dumps({**entry, "schema_version": 6}))
    before = run("inspect", model, prepared.folder / "test", "--json")
    migrated = run("migrate", model)
    assert migrated.code == 0, migrated.err
    assert "brought up to date" in migrated.out
    assert load_model(model).graph == detector.model.graph
    after = run("inspect", model, prepared.folder / "test", "--json")
    results = [json.loads(one.out)["results"] for one in (before, after)]
    assert [r["score"] for r in results[0]] == [r["score"] for r in results[1]]
    again = run("migrate", model, "--json")
    assert json.loads(again.out) == {"model": str(model), "migrated": False}
    missing = run("migrate", tmp_path / "nowhere")
    assert missing.code == 2
    assert "is not a model folder" in missing.err


class _Elsewhere:
    """An embedder whose features come from another device: shifted by a share of their range."""

    engine = "another device"

    def __init__(self, embedder, shift):
        self.embedder, self.shift = embedder, shift
        self.spec, self.network, self.graph = embedder.spec, embedder.network, embedder.graph

    def __call__(self, images):
        return self.embedder(images) * (1 + self.shift)


@pytest.mark.parametrize(("shift", "agrees"), [(0.0, True), (1e-7, True), (0.02, False)])
def test_a_model_of_another_device_is_saved_only_where_a_cpu_agrees(
    prepared, tmp_path, shift, agrees, detector
):
    embedder = _Elsewhere(detector.embedder, shift)
    settings = detector.settings.model_dump()
    fitting = PatchCoreDual(embedder=embedder, **settings)
    if agrees:
        fitting.fit(prepared, model_folder=tmp_path / "model")
        assert (tmp_path / "model" / MODEL_FILE).is_file()
    else:
        with pytest.raises(ModelError, match=r"on the device of the fit, and .* on a CPU"):
            fitting.fit(prepared, model_folder=tmp_path / "model")
        assert not (tmp_path / "model" / MODEL_FILE).exists()


def test_scores_that_agree():
    scores = np.array([[0.0, 1.0, 10.0], [0.0, 1.009, 10.0]])
    compare_scores(scores, ["a", "b", "c"])
    scores[1, 1] = 1.02
    with pytest.raises(ModelError, match=r"the score of b is 1 .* 1.02"):
        compare_scores(scores, ["a", "b", "c"])
