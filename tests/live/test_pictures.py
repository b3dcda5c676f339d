"""Thumbnails: the patch that a bank's vector came from, as far as its image is at hand."""

import shutil

import numpy as np
import pytest

from patchcore_dual.data.reading import read_image
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.live import CalibrationImages, Lesson
from patchcore_dual.live.pictures import TrainingPictures
from patchcore_dual.scoring import Match


@pytest.fixture
def detector(saved, tmp_path):
    shutil.copytree(saved / "dual", tmp_path / "dual")
    return PatchCoreDual.load(tmp_path / "dual", device="cpu")


def test_they_are_cut_from_the_training_image_around_the_patch(prepared):
    sample = prepared.part("train", "positive").samples[0]
    look = TrainingPictures(None, lambda: prepared.folder, None, stride=16)
    picture = look(Match(sample.image, 5, 0, 1.0))
    image = read_image(prepared.image_path(sample))
    assert picture.shape == (64, 64, 3)
    same = (picture == image[32:96, :64]).all(axis=2)
    frame = np.zeros((64, 64), bool)
    frame[48:64, :16] = True
    frame[49:63, 1:15] = False
    assert same[~frame].all()
    assert (picture[frame] == (214, 48, 49)).all()
    assert look(Match("gone.png", 0, 0, 1.0)) is None


def test_an_inspection_shows_both_patches(detector, new_images):
    inspection = detector.inspect(new_images.defect)
    thumbnails = inspection.thumbnails()
    assert list(thumbnails) == ["nearest normal", "nearest defect"]
    assert all(picture.ndim == 3 for picture in thumbnails.values())
    assert "picture_of" not in inspection.to_json()
    assert inspection.draw(largest_panel=(20, 20)).dtype == np.uint8


def test_without_the_training_images_there_are_none_but_those_kept(
    detector, new_images, tmp_path, monkeypatch
):
    nowhere = lambda model: tmp_path / "nowhere"  # noqa: E731
    monkeypatch.setattr("patchcore_dual.live.teacher._prepared", nowhere)
    inspection = detector.inspect(new_images.defect)
    assert set(inspection.thumbnails().values()) == {None}
    plain = inspection.draw()
    CalibrationImages(detector.model, detector.embed, tmp_path / "dual")
    ready = PatchCoreDual.load(tmp_path / "dual", device="cpu").inspect(new_images.defect)
    assert all(picture is not None for picture in ready.thumbnails().values())
    assert ready.draw().shape[0] > plain.shape[0]


def test_an_image_that_was_taught_is_shown(detector, new_images):
    detector.teach(Lesson(new_images.defect, True, new_images.mask), force=True)
    inspection = detector.inspect(new_images.defect)
    assert inspection.nearest_defect.image.endswith("/defect.png")
    assert inspection.thumbnails()["nearest defect"].shape[2] == 3


def test_a_version_shows_those_kept_too(detector, new_images, tmp_path, monkeypatch):
    nowhere = lambda model: tmp_path / "nowhere"  # noqa: E731
    monkeypatch.setattr("patchcore_dual.live.teacher._prepared", nowhere)
    CalibrationImages(detector.model, detector.embed, tmp_path / "dual")
    version = PatchCoreDual.load(tmp_path / "dual@1", device="cpu").inspect(new_images.defect)
    assert all(picture is not None for picture in version.thumbnails().values())
