"""Models of older schemas are brought up to date, newer ones are refused."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from older_models import as_schema_7
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.features import load_embedder
from patchcore_dual.model import Edit, commit, editing
from patchcore_dual.model.folder import MODEL_FILE

# `model.json` of schema 2, as version 0.1.0 wrote it; what depends on the model is filled in.
SCHEMA_2 = {
    "schema_version": 2,
    "settings": None,
    "size": [64, 96],
    "backbone": {
        "name": "efficientnet_lite0",
        "levels": [2, 3],
        "defect_levels": [2, 3],
        "weights_sha256": None,
    },
    "rule": None,
    "rule_constants": None,
    "decision": None,
    "trained_on": None,
    "closer_look": {"share": 0.25, "score_error": 0.0005, "images": 7},
    "sources": None,
    "files": None,
}


def as_schema_2(folder):
    """Turn a model of the present schema into one of schema 2, without the migration's help."""
    path = folder / MODEL_FILE
    new = as_schema_7(folder)
    old = json.loads(json.dumps(SCHEMA_2))
    later = ("count_padding", "review_rate", "resolutions", "precision")
    old["settings"] = {k: v for k, v in new["settings"].items() if k not in later}
    old["backbone"]["weights_sha256"] = new["embedder"]["weights_sha256"]
    for key in ("rule", "rule_constants", "trained_on"):
        old[key] = new[key]
    image, pixel, floor = (new["thresholds"][k] for k in ("image", "pixel", "map_floor"))
    image = {k: image[k] for k in ("value", "images")}
    image["false_alarm_rate"] = 1 / (image["images"] + 1)
    old["decision"] = {"image": image, "pixel": pixel, "floor": floor}
    names = new["calibration"]["normals"]
    old["sources"] = {**new["sources"], "held_out": names}
    earlier = ("network", "normal", "defect", "probe", "rule")
    files = {role: name for role, name in new["files"].items() if role in earlier}
    network = folder / files.pop("network")
    renamed = network.with_name(network.name.replace("network", "backbone"))
    network.rename(renamed)
    held_out = save(
        {
            "scores": np.zeros(len(names)),
            "defect_scores": np.zeros(0),
            "owner": np.zeros(1, np.int32),
            "patches": np.zeros((1, 4), np.float32),
            "distances": np.zeros(1, np.float32),
        }
    )
    held_out_name = f"held_out-{hashlib.sha256(held_out).hexdigest()}.safetensors"
    (folder / held_out_name).write_bytes(held_out)
    (folder / new["files"]["calibration"]).unlink()
    old["files"] = {**files, "backbone": renamed.name, "held_out": held_out_name}
    path.write_text(json.dumps(old))


def as_schema_4(entry):
    """Change `model.json` of schema 7 to that of schema 4, which knew no groups."""
    as_schema_5(entry)
    image = entry["thresholds"]["image"]
    rate = image.pop("promised")
    for name in ("asked", "expected", "groups"):
        del image[name]
    image["false_alarm_rate"] = rate
    del entry["calibration"]["groups"]
    del entry["thresholds"]["review"], entry["settings"]["review_rate"]
    entry["schema_version"] = 4


def as_schema_5(entry):
    """Change `model.json` of schema 7 to that of schema 5, which knew one resolution."""
    del entry["settings"]["resolutions"], entry["embedder"]["resolutions"]
    entry["schema_version"] = 5


@pytest.mark.parametrize("scoring", ["ratio", "calibrated"])
def test_a_model_of_schema_2_scores_as_before(fitted_with, prepared, tmp_path, scoring):
    fitted = fitted_with(scoring=scoring, resolutions=(1,))
    fitted.save(tmp_path / "model")
    as_schema_2(tmp_path / "model")
    migrated = PatchCoreDual.load(tmp_path / "model")
    assert migrated.embedder.spec == replace(fitted.embedder.spec, pad_to_cells=False)
    assert migrated.embedder.spec.count_padding == (scoring == "ratio")
    image = fitted.model.thresholds.image
    rate = 1 / (image.images + 1)
    expected = replace(image, promised=rate, expected=rate, groups=image.images)
    thresholds = replace(fitted.model.thresholds, image=expected, review=expected)
    assert migrated.model.thresholds == thresholds
    search = migrated.model.adaptive_search
    assert (search.exact_share, search.score_error, search.images) == (0.25, 0.0005, 7)
    assert migrated.model.calibration is None
    for sample in prepared.part("test"):
        path = prepared.image_path(sample)
        assert migrated.inspect(path).score == fitted.inspect(path).score
    migrated.save(tmp_path / "model", overwrite=True)
    entry = json.loads((tmp_path / "model" / MODEL_FILE).read_text())
    assert entry["schema_version"] == 8
    files = {p.name for p in (tmp_path / "model").glob("*-*")}
    assert files >= {name for names in entry["files"].values() for name in names}
    former = PatchCoreDual.load(tmp_path / "model@1")  # of schema 2, and still readable
    assert former.fingerprint == migrated.fingerprint
    assert former.model.thresholds == migrated.model.thresholds
    again = PatchCoreDual.load(tmp_path / "model").model
    assert again.thresholds == migrated.model.thresholds


def test_a_model_of_schema_3_keeps_its_scores_at_a_size_that_cells_do_not_divide(
    prepared, tmp_path
):
    padded = load_embedder("efficientnet_lite0", (2, 3), count_padding=True)
    unpadded = padded.with_spec(replace(padded.spec, pad_to_cells=False))
    fitted = PatchCoreDual(scoring="ratio", embedder=unpadded).fit(prepared)
    fitted.save(tmp_path / "model")
    path = tmp_path / "model" / MODEL_FILE
    entry = as_schema_7(path.parent)
    entry["size"] = [60, 90]  # of the images it inspects; those of `prepared` are 64x96
    del entry["embedder"]["pad_to_cells"]
    as_schema_4(entry)
    path.write_text(json.dumps({**entry, "schema_version": 3}))
    migrated = PatchCoreDual.load(tmp_path / "model")
    assert not migrated.embedder.spec.pad_to_cells
    image = np.random.default_rng(0).integers(0, 256, (90, 60, 3), np.uint8)
    np.testing.assert_array_equal(migrated.embed(image), unpadded(image[None])[0])
    assert np.abs(padded(image[None])[0] - migrated.embed(image)).max() > 0.01


def test_each_image_of_a_model_of_schema_4_is_a_group_of_its_own(fitted_with, prepared, tmp_path):
    fitted = fitted_with(scoring="patchcore")
    fitted.save(tmp_path / "model")
    path = tmp_path / "model" / MODEL_FILE
    entry = as_schema_7(path.parent)
    as_schema_4(entry)
    path.write_text(json.dumps(entry))
    model = PatchCoreDual.load(tmp_path / "model").model
    assert model.calibration.groups == model.calibration.normals
    assert model.thresholds.image.groups == model.thresholds.image.images == 6
    assert model.thresholds.image.value == fitted.model.thresholds.image.value
    image = prepared.image_path(prepared.samples[0])
    loaded = PatchCoreDual.load(tmp_path / "model")
    assert loaded.inspect(image).score == fitted.inspect(image).score


def test_a_model_of_schema_5_keeps_its_one_resolution(fitted_with, prepared, tmp_path):
    fitted = fitted_with(resolutions=(1,))
    fitted.save(tmp_path / "model")
    path = tmp_path / "model" / MODEL_FILE
    entry = as_schema_7(path.parent)
    as_schema_5(entry)
    path.write_text(json.dumps(entry))
    loaded = PatchCoreDual.load(tmp_path / "model")
    assert loaded.settings.used_resolutions == (1,)  # though the rule would use several
    image = prepared.image_path(prepared.samples[0])
    assert loaded.inspect(image).score == fitted.inspect(image).score


def test_a_model_of_schema_7_is_read_and_shares_its_files_with_later_versions(
    fitted_with, prepared, tmp_path
):
    fitted, folder = fitted_with(), tmp_path / "model"
    fitted.save(folder)
    as_schema_7(folder)
    before = {p.name for p in folder.iterdir()}
    loaded = PatchCoreDual.load(folder)
    image = prepared.image_path(prepared.samples[0])
    assert loaded.inspect(image).score == fitted.inspect(image).score
    assert loaded.model.held_out.known.tolist() == fitted.model.held_out.known.tolist()
    with editing(folder):
        version = commit(folder, loaded.model, Edit("migrate"))
    added = {p.name.split("-")[0] for p in folder.iterdir() if p.name not in before}
    assert added == {"calibration", "ledger.jsonl", "versions"}  # the banks are the same files
    assert version.fingerprint == fitted.fingerprint
