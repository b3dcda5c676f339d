"""Removing training images: as if they had never been there."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.live import CalibrationImages, Lesson
from patchcore_dual.live.removal import name_of, remove


@pytest.fixture
def detector(saved, tmp_path):
    shutil.copytree(saved / "dual", tmp_path / "dual")
    return PatchCoreDual.load(tmp_path / "dual", device="cpu")


def same(one, other):
    """Whether two models score alike: their banks, held-out scores and thresholds."""
    for a, b in ((one.normal_bank, other.normal_bank), (one.defect_bank, other.defect_bank)):
        assert a.sources == b.sources
        assert np.array_equal(a.vectors, b.vectors)
    for a, b in zip(
        one.calibration.scores(one.rule), other.calibration.scores(other.rule), strict=True
    ):
        assert a == pytest.approx(b, rel=0.01, abs=0.01)
    assert one.thresholds.image.value == pytest.approx(other.thresholds.image.value, rel=0.01)
    counts = ("normal_images", "defective_images", "kinds")
    assert [one.trained_on[n] for n in counts] == [other.trained_on[n] for n in counts]


@pytest.mark.parametrize("what", ["defect", "good"])
def test_what_is_taught_and_removed_again_was_never_there(detector, new_images, what):
    before = detector.model
    mask = new_images.mask if what == "defect" else None
    detector.teach(Lesson(getattr(new_images, what), what == "defect", mask), force=True)
    assert detector.model.trained_on["taught"]
    outcome = detector.teach(removed=[f"{what}.png"], force=True)
    assert outcome.teaching.removed[0].endswith(f"/{what}.png")
    same(detector.model, before)
    assert not detector.model.trained_on["taught"]
    again = detector.teach(Lesson(getattr(new_images, what), what == "defect", mask), force=True)
    assert again.is_accepted


def test_removing_the_last_defect_leaves_a_model_of_good_parts(detector, saved, new_images):
    calibration = detector.model.calibration
    outcome = detector.teach(removed=list(calibration.defectives), force=True)
    assert outcome.preview.gained_defect < 0
    good = PatchCoreDual.load(saved / "calibrated-good", device="cpu")
    assert detector.model.defect_bank is None
    for path in (new_images.good, new_images.defect):
        ours, theirs = (one.inspect(path) for one in (detector, good))
        assert ours.score == pytest.approx(theirs.score, rel=0.05)


def test_synthetic_children_go_with_their_parent(detector):
    model = detector.model
    images = CalibrationImages(model, detector.embed)
    parent, child, *_ = model.calibration.defectives
    rows = images.rows
    rows[child] = replace(rows[child], origin="pasted", parents=(parent,))
    after = remove(model, [parent], images).after
    assert not {parent, child} & set(after.defect_bank.sources)


def test_a_normal_bank_that_was_chosen_covers_the_others_as_before(prepared):
    detector = PatchCoreDual(normal_rate=0.05).fit(prepared)
    model, calibration = detector.model, detector.model.calibration
    few = model.normal_bank.select(np.arange(0, len(model.normal_bank), 4))
    radius = max(
        float(few.nearest(detector.embed(prepared.read_image(s)))[0].max())
        for s in prepared.part("train", "negative")
    )
    coarse = replace(
        model,
        normal_bank=few,
        read_calibration=lambda: replace(calibration, covering_radius=radius),
    )
    images = CalibrationImages(coarse, detector.embed)
    name = calibration.normals[0]
    bank = remove(coarse, [name], images).after.normal_bank
    assert name not in bank.sources
    for other in calibration.normals[1:]:
        assert bank.nearest(images.features(other))[0].max() < 3 * radius


def test_names():
    known = ["a/1.png", "b/1.png", "b/2.png", "2.png"]
    assert name_of("b/1.png", known) == "b/1.png"
    assert name_of("2.png", known) == "2.png"
    with pytest.raises(DataError, match="may be a/1"):
        name_of("1.png", known)
    with pytest.raises(DataError, match="no training image 3"):
        name_of("3.png", known)


def test_two_good_images_have_to_stay(detector):
    normals = list(detector.model.calibration.normals)
    with pytest.raises(DataError, match="fewer than two good images"):
        detector.teach(removed=normals[1:])
    with pytest.raises(SettingsError, match="one of them"):
        detector.teach(Lesson("x.png", True), removed=normals[:1])


def test_good_images_of_one_fold_alone_are_too_few(detector):
    """They would have been scored by nothing."""
    calibration = detector.model.calibration
    first = calibration.evidence.normals[0].fold
    others = [
        name
        for name, one in zip(calibration.normals, calibration.evidence.normals, strict=True)
        if one.fold != first
    ]
    with pytest.raises(DataError, match=r"fewer than two|held out together"):
        detector.teach(removed=others)
