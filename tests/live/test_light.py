"""Teaching a model that was fitted on good images in other light too."""

import shutil

import numpy as np
import pytest

from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.live import CalibrationImages, Lesson
from patchcore_dual.live.recalibration import TrainingState, renew
from training.made_up import MadeUpEmbedder, make_stained


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The folder of a model and of its images."""
    place = tmp_path_factory.mktemp("light")
    (place / "prepared").mkdir()
    manifest = make_stained(place / "prepared", good=12, defective=5)
    detector = PatchCoreDual(embedder=MadeUpEmbedder(), robust="light")
    detector.fit(manifest, model_folder=place / "model")
    assert detector.fitted.light.kept
    return place


@pytest.fixture
def detector(fitted, tmp_path):
    shutil.copytree(fitted / "model", tmp_path / "model")
    return PatchCoreDual.load(tmp_path / "model", embedder=MadeUpEmbedder())


def variants(names):
    return [name for name in names if "#" in name]


def test_a_model_that_learns_nothing_is_renewed_as_it_was_fitted(detector):
    model = detector.model
    images = CalibrationImages(model, detector.embed)
    again = renew(
        model, TrainingState.of(model, images), images.features, trained_on=model.trained_on
    )
    was, now = model.calibration, again.calibration
    assert (now.normals, now.groups, now.sha256) == (was.normals, was.groups, was.sha256)
    assert variants(now.normals)
    for scores in zip(was.scores(model.rule), now.scores(again.rule), strict=True):
        assert scores[1] == pytest.approx(scores[0], rel=0.01, abs=0.01)
    assert again.thresholds.image.value == pytest.approx(model.thresholds.image.value, rel=5e-3)


def test_features_of_a_variant_are_its_own(detector):
    model = detector.model
    images = CalibrationImages(model, detector.embed)
    one = variants(model.calibration.normals)[0]
    own, original = (images.features(name) for name in (one, one.rpartition("#")[0]))
    assert np.abs(own - original).max() > 1
    assert images.rows[one].group == images.rows[one].parents[0] == one.rpartition("#")[0]


def test_variants_go_with_the_image_that_is_removed(detector):
    outcome = detector.teach(removed=["3.png"], force=True)
    assert outcome.is_accepted
    model = detector.model
    gone = [n for n in outcome.teaching.removed if n != "3.png"]
    assert gone
    assert all(name.startswith("3.png#") for name in gone)
    names = (*model.calibration.normals, *model.normal_bank.sources)
    assert not [name for name in names if name.startswith("3.png")]
    assert variants(model.calibration.normals)
    assert model.trained_on["normal_images"] == 11
    assert model.trained_on["synthetic_images"] == {}


def test_it_is_taught_without_its_images_once_it_was_made_ready(detector, fitted, tmp_path):
    CalibrationImages(detector.model, detector.embed, tmp_path / "model")
    good = read_image(fitted / "prepared" / "0.png").astype(np.int64)
    good[8:12, 8:12] += 60
    write_png(tmp_path / "new.png", good.clip(0, 255).astype(np.uint8))
    away = shutil.move(fitted / "prepared", tmp_path / "away")
    try:
        before = detector.inspect(tmp_path / "new.png")
        outcome = detector.teach(Lesson(tmp_path / "new.png", is_defect=False), force=True)
        assert outcome.is_accepted
        assert detector.inspect(tmp_path / "new.png").score < before.score
    finally:
        shutil.move(away, fitted / "prepared")
    model = detector.model
    assert len(model.calibration.normals) == len(outcome.teaching.before.calibration.normals) + 1
    assert model.trained_on["normal_images"] == 13


def test_the_nearest_patch_of_a_variant_has_a_picture(detector, fitted, tmp_path):
    image = read_image(fitted / "prepared" / "0.png")
    for factor in np.linspace(0.85, 1.15, 7):
        write_png(tmp_path / "lit.png", (image * factor).clip(0, 255).astype(np.uint8))
        match = detector.inspect(tmp_path / "lit.png").nearest_normal
        if "#" in match.image:
            break
    assert "#" in match.image
    assert detector._teacher.pictures(detector.model)(match) is not None
