"""Teaching: what it renews is what a fit computes, and the taught image is known afterwards."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, ModelError, SettingsError
from patchcore_dual.live import CalibrationImages, Lesson
from patchcore_dual.live.recalibration import TrainingState, renew


@pytest.fixture
def load(saved, tmp_path):
    """A detector of a copy of one of the saved models."""

    def load(name):
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(saved / name, folder)
        return PatchCoreDual.load(folder, device="cpu")

    return load


@pytest.fixture
def lesson(new_images):
    return Lesson(new_images.defect, is_defect=True, mask=new_images.mask)


@pytest.mark.parametrize("name", ["dual", "ratio", "calibrated-good", "ratio-good"])
def test_a_model_that_learns_nothing_is_renewed_as_it_was_fitted(load, name):
    detector = load(name)
    model = detector.model
    images = CalibrationImages(model, detector.embed)
    state = TrainingState.of(model, images)
    again = renew(model, state, images.features, trained_on=model.trained_on)
    assert again.rule.name == model.rule.name
    assert again.thresholds.image.value == pytest.approx(model.thresholds.image.value, rel=2e-3)
    assert again.thresholds.pixel == pytest.approx(model.thresholds.pixel, rel=2e-3)
    was, now = model.calibration, again.calibration
    assert (now.normals, now.defectives, now.groups) == (was.normals, was.defectives, was.groups)
    assert now.sha256 == was.sha256
    for scores in zip(was.scores(model.rule), now.scores(again.rule), strict=True):
        assert scores[1] == pytest.approx(scores[0], rel=0.01, abs=0.01)
    if model.probe is not None:
        weights = model.probe.weights, again.probe.weights
        assert np.corrcoef(*weights)[0, 1] > 0.9999
        assert again.rule.weights == pytest.approx(model.rule.weights, abs=1e-3)
    assert again.trained_on == model.trained_on  # a distance is measured from ten images on


def test_a_taught_defect_gives_the_banks_and_the_probe_of_a_fit(prepared, load, tmp_path):
    *others, last = prepared.part("train", "positive").samples
    first = PatchCoreDual().fit(prepared, exclude=[last.image])
    taught = first.teach(
        Lesson(prepared.image_path(last), True, prepared.mask_path(last), group=last.group),
        force=True,
    )
    assert taught.is_accepted
    refit, model = load("dual").model, first.model
    assert model.normal_bank is taught.teaching.before.normal_bank
    ours, theirs = (
        bank.vectors[np.lexsort(bank.vectors.T)] for bank in (model.defect_bank, refit.defect_bank)
    )
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert np.corrcoef(model.probe.weights, refit.probe.weights)[0, 1] > 0.999
    assert len(model.calibration.defectives) == len(others) + 1
    assert model.trained_on["defective_images"] == refit.trained_on["defective_images"]


@pytest.mark.parametrize(
    ("name", "rule"), [("calibrated-good", "calibrated"), ("ratio-good", "ratio")]
)
def test_the_first_defect_makes_a_dual_model(load, lesson, name, rule):
    detector = load(name)
    assert detector.model.defect_bank is None
    outcome = detector.teach(lesson)
    assert outcome.is_accepted
    assert detector.model.rule.name == rule
    assert outcome.preview.taught[0].before == "pass"
    assert detector.inspect(lesson.image).verdict != "pass"
    found = detector.inspect(lesson.image).nearest_defect
    assert found.image.endswith("/defect.png")
    assert found.distance == pytest.approx(0, abs=1e-2)


def test_a_false_alarm_that_is_taught_as_good_passes(load, new_images):
    detector = load("calibrated-good")
    before = detector.inspect(new_images.good)
    outcome = detector.teach(Lesson(new_images.good, is_defect=False), force=True)
    after = detector.inspect(new_images.good)
    assert after.score < before.score
    assert after.verdict == "pass"
    assert outcome.preview.taught[0].after == "pass"
    assert outcome.preview.gained_normal > 0
    calibration = detector.model.calibration
    assert len(calibration.normals) == 7
    held_out = dict(zip(calibration.normals, calibration.evidence.normals, strict=True))
    (taught,) = (one for name, one in held_out.items() if name.endswith("/good.png"))
    assert taught.evidence.normal.distance == pytest.approx(
        outcome.teaching.taught[0].evidence.normal.distance
    )  # by the bank without it


def test_lessons_follow_each_other_on_disk_and_in_memory(load, lesson, new_images, tmp_path):
    detector = load("calibrated-good")
    detector.teach(lesson, force=True)
    detector.save(tmp_path / "calibrated-good", overwrite=True)
    loaded = load("calibrated-good")
    for one in (detector, loaded):
        one.teach(Lesson(new_images.good, is_defect=False), force=True)
    assert loaded.model.thresholds.image.value == pytest.approx(
        detector.model.thresholds.image.value, rel=1e-3
    )
    assert list(loaded.model.trained_on["taught"]) == list(detector.model.trained_on["taught"])


def test_a_model_that_is_saved_elsewhere_keeps_the_images_it_was_taught(load, lesson, tmp_path):
    detector = load("dual")
    detector.teach(lesson, force=True)
    detector.save(tmp_path / "elsewhere")
    (taught,) = detector.model.trained_on["taught"]
    again = PatchCoreDual.load(tmp_path / "elsewhere")
    again.save(tmp_path / "third")
    for folder in ("dual", "elsewhere", "third"):
        images = CalibrationImages(again.model, refuse_to_embed, tmp_path / folder)
        assert images.features(taught).shape[:2] == (6, 4)
        assert len(list(images.kept_in.glob("*.png"))) == 1


def refuse_to_embed(image):
    raise AssertionError("everything is kept")


def test_without_the_training_images_what_is_kept_is_enough(load, lesson, prepared, tmp_path):
    detector = load("dual")
    CalibrationImages(detector.model, detector.embed, tmp_path / "dual")
    calibration = replace(detector.model.calibration, prepared=str(tmp_path / "nowhere"))
    elsewhere = replace(detector.model, read_calibration=lambda: calibration)
    images = CalibrationImages(elsewhere, detector.embed, tmp_path / "dual")
    name = calibration.normals[0]
    kept = images.features(name)
    exact = detector.embed(read_image(prepared.folder / name))
    assert images.rows.keys() == calibration.sha256.keys()
    assert kept == pytest.approx(exact, rel=1e-3, abs=1e-3)
    assert len(list(images.kept_in.glob("*.jpg"))) == len(images.rows)


def test_an_array_can_be_taught_and_its_mask_drawn(load, new_images, prepared):
    detector = load("calibrated-good")
    image = np.full((192, 128, 3), 90, np.uint8)
    mask = np.zeros((192, 128), bool)
    mask[60:80, 40:60] = True
    outcome = detector.teach(Lesson(image, True, mask, kind="hole", name="frame 7"), force=True)
    (taught,) = outcome.teaching.taught
    assert taught.name == "frame 7"
    assert taught.mask.shape == (96, 64)
    assert "resized" in outcome.teaching.notes[0]
    assert detector.model.trained_on["kinds"] == ["hole"]


def test_without_a_mask_the_defect_is_proposed(load, new_images):
    outcome = load("dual").teach(Lesson(new_images.defect, True), dry_run=True)
    (taught,) = outcome.teaching.taught
    true = read_mask(new_images.mask)
    assert (taught.mask & true).any()
    assert taught.is_proposed
    assert "give a mask" in " ".join(outcome.teaching.notes)


def test_a_dry_run_changes_nothing(load, lesson):
    detector = load("dual")
    before = detector.fingerprint, detector.model
    outcome = detector.teach(lesson, dry_run=True)
    assert not outcome.is_accepted
    assert (detector.fingerprint, detector.model) == before


def refused(detector, *lessons):
    before = detector.model
    with pytest.raises((DataError, SettingsError)) as caught:
        detector.teach(*lessons)
    assert detector.model is before
    return str(caught.value)


def test_what_cannot_be_taught_is_refused(load, lesson, new_images, prepared, tmp_path):
    detector, image = load("dual"), new_images.defect
    empty = np.zeros((96, 64), bool)
    assert "is empty" in refused(detector, Lesson(image, True, empty))
    assert "covers 100%" in refused(detector, Lesson(image, True, ~empty))
    assert "10x10 and its image 64x96" in refused(detector, Lesson(image, True, empty[:10, :10]))
    assert "is float64" in refused(detector, Lesson(image, True, empty.astype(float)))
    assert "no defect" in refused(detector, Lesson(image, False, new_images.mask))
    train, test = (
        prepared.image_path(prepared.part(split, "negative").samples[0])
        for split in ("train", "test")
    )
    assert "is in the model already" in refused(detector, Lesson(train, False))
    assert "labelled a good part, and cannot be a defect too" in refused(
        detector, Lesson(train, True)
    )
    assert "is the test image" in refused(detector, Lesson(test, False))
    shutil.copy(image, tmp_path / "same.png")
    again = replace(lesson, image=tmp_path / "same.png")
    assert "are the same image" in refused(detector, lesson, again)
    detector.teach(lesson, force=True)
    assert "is in the model already" in refused(detector, again)
    assert "--remove" in refused(detector, Lesson(tmp_path / "same.png", False))
    assert "images to teach" in refused(detector)


@pytest.mark.parametrize(
    "settings",
    [
        {"defect_levels": (3,)},
        {"defect_levels": (3,), "scoring": "ratio"},
        {"bank_vectors": "projected"},
        {"patches": "crop", "scoring": "thesis"},
        {"patches": "box", "normal_rate": 0.3, "seed": 1},
    ],
    ids=str,
)
def test_whatever_the_settings(prepared, lesson, new_images, settings):
    detector = PatchCoreDual(**settings).fit(prepared)
    before = len(detector.model.defect_bank)
    detector.teach(lesson, force=True)
    detector.teach(Lesson(new_images.good, is_defect=False), force=True)
    assert len(detector.model.defect_bank) > before
    assert detector.model.defect_bank.sources[-1].endswith("/defect.png")
    assert detector.model.normal_bank.sources[-1].endswith("/good.png")
    detector.teach(removed=["defect.png", "good.png"], force=True)
    assert len(detector.model.defect_bank) == before


def test_a_rule_that_uses_no_defects_is_not_taught_any(prepared, lesson):
    detector = PatchCoreDual(scoring="patchcore").fit(prepared)
    assert "uses no defects" in refused(detector, lesson)


def test_other_files_at_the_same_path_have_names_of_their_own(load, new_images, tmp_path):
    detector, path = load("calibrated-good"), tmp_path / "latest.png"
    for source in (new_images.good, new_images.defect):
        shutil.copy(source, path)
        detector.teach(Lesson(path, is_defect=False), force=True)
    names = list(detector.model.trained_on["taught"])
    assert names[0] == path.as_posix()
    assert names[1].startswith(f"{names[0]}#")


def test_where_kinds_are_named_a_defect_has_one(load, lesson):
    detector = load("calibrated-good")
    detector.teach(replace(lesson, kind="crack"), force=True)
    other = np.random.default_rng(0).integers(0, 255, (96, 64, 3), np.uint8)
    mask = np.zeros((96, 64), bool)
    mask[:20, :20] = True
    message = refused(detector, Lesson(other, True, mask))
    assert "named by their kinds: crack" in message
    detector.teach(Lesson(other, True, mask, kind="hole"), force=True)
    assert detector.model.trained_on["kinds"] == ["crack", "hole"]
    assert (
        len({k for one in detector.model.calibration.evidence.defectives for k in one.unseen}) == 2
    )


def test_what_is_kept_can_be_lost_and_is_made_again(load, lesson, tmp_path):
    detector = load("calibrated-good")
    detector.teach(lesson, force=True)
    detector.save(tmp_path / "calibrated-good", overwrite=True)
    (index,) = (tmp_path / "calibrated-good" / "images").glob("*.json")
    index.write_text("{")
    (name,) = detector.model.calibration.defectives
    model, embed = detector.model, detector.embed
    assert CalibrationImages(model, embed, tmp_path / "calibrated-good").rows[name].kind == ""
    shutil.rmtree(tmp_path / "calibrated-good" / "images")
    images = CalibrationImages(model, embed, tmp_path / "calibrated-good")  # from the file taught
    assert images.features(name).shape == detector.embed(read_image(lesson.image)).shape
    for path in images.kept_in.glob("*.npy"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match="missing or damaged"):
        images.features(model.calibration.normals[0])
