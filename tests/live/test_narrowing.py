"""Narrowing the region of interest of a fitted model: as if it had been fitted with it."""

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalikes import surface
from patchcore_dual.data.alignment import Aligner, frame_of
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, ModelError, SettingsError
from patchcore_dual.live import CalibrationImages, Lesson, commit, editing, narrow, undo
from patchcore_dual.live.narrowing import region_without
from patchcore_dual.model.versions import history
from training.made_up import MadeUpEmbedder, make_stained

SIDE, EDGE = 32, 20  # of the images, and where the region ends, in pixels; cells are 4 wide
LEFT = np.arange(SIDE)[None, :].repeat(SIDE, axis=0) < EDGE
COLUMNS = EDGE // 4
RULES = ["calibrated", "thesis", "patchcore-weighted"]


@pytest.fixture(scope="module")
def stained(tmp_path_factory):
    """12 good and 6 defective images; the stains lie anywhere, that of one outside of LEFT."""
    return make_stained(tmp_path_factory.mktemp("stained"), 12, 6, SIDE)


def fit(manifest, scoring="calibrated", normal_rate=1.0, **options):
    embedder = MadeUpEmbedder()
    detector = PatchCoreDual(embedder=embedder, scoring=scoring, normal_rate=normal_rate)
    return detector.fit(manifest, **options)


def narrowed(detector, region=LEFT, **options):
    return detector.teach(region=region, force=True, **options)


def with_fixture(stained):
    """A good image with something bright outside of LEFT."""
    image = read_image(stained.image_path(stained.part(label="negative").samples[0])).copy()
    image[10:30, EDGE + 2 :] = 255
    return image


@pytest.mark.parametrize("scoring", RULES)
def test_narrowed_is_as_fitted_with_the_region(stained, scoring):
    """Where the normal bank holds all patches, nothing is approximate but w_N, of two rules.

    That weight is measured in the bank of all folds, for want of the one without each.
    """
    detector, fitted = fit(stained, scoring), fit(stained, scoring, roi=LEFT)
    image = with_fixture(stained)
    assert detector.inspect(image).verdict == "reject"
    outcome = narrowed(detector)
    ours, theirs = detector.model, fitted.model
    assert np.array_equal(ours.roi, theirs.roi)
    for a, b in ((ours.normal_bank, theirs.normal_bank), (ours.defect_bank, theirs.defect_bank)):
        assert (a is None) == (b is None)
        assert a is None or np.array_equal(a.vectors, b.vectors)
    for one, other in zip(
        (*ours.calibration.evidence.normals, *ours.calibration.evidence.defectives),
        (*theirs.calibration.evidence.normals, *theirs.calibration.evidence.defectives),
        strict=True,
    ):
        assert np.array_equal(one.evidence.normal.distance, other.evidence.normal.distance, True)
        assert np.isnan(one.evidence.normal.distance[:, COLUMNS:]).all()
        assert np.array_equal(one.defect_cells, other.defect_cells)
    tolerance = 0.06 if ours.rule.weighted else 1e-6
    for a, b in zip(
        ours.calibration.scores(ours.rule), theirs.calibration.scores(theirs.rule), strict=True
    ):
        assert a == pytest.approx(b, rel=tolerance)
    thresholds = [model.thresholds.image.value for model in (ours, theirs)]
    assert thresholds[0] == pytest.approx(thresholds[1], rel=tolerance)
    if theirs.defect_bank is not None:
        outside = ours.defects_outside, outcome.preview.defects_outside[1]
        assert outside == (theirs.defects_outside,) * 2 == (1, 1)
    assert ours.drift.values == pytest.approx(theirs.drift.values, rel=1e-3, abs=1e-5)
    for sample in stained:
        path = stained.image_path(sample)
        assert detector.inspect(path).score == pytest.approx(fitted.inspect(path).score, rel=1e-6)
    assert detector.inspect(image).verdict == fitted.inspect(image).verdict != "reject"


def test_a_coreset_that_is_narrowed_covers_what_is_left(tmp_path):
    """A fit would choose other vectors: scores differ, by less than good images do by chance."""
    stained = make_stained(tmp_path, 12, 6, 64)
    region = LEFT.repeat(2, axis=0).repeat(2, axis=1)
    detector, fitted = (fit(stained, "ratio", 0.2, **o) for o in ({}, {"roi": region}))
    radius = detector.model.calibration.covering_radius
    narrowed(detector, region)
    bank = detector.model.normal_bank
    assert bank.cell[:, 1].max() < 2 * COLUMNS
    for sample in stained.part(label="negative"):
        features = detector.embed(read_image(stained.image_path(sample)))
        assert np.nanmax(bank.nearest(features)[0]) < 3 * radius  # which is among projected ones
    ours, theirs = (one.model.calibration.scores(one.model.rule)[0] for one in (detector, fitted))
    assert np.median(np.abs(ours - theirs)) < theirs.std()


@given(
    first=st.tuples(st.integers(0, 4), st.integers(5, 8)),
    second=st.tuples(st.integers(0, 4), st.integers(5, 8)),
)
@settings(max_examples=3, deadline=None)
def test_twice_narrowed_is_narrowed_to_both(stained, first, second):
    detector = fit(stained, "ratio")
    model, images = detector.model, CalibrationImages(detector.model, detector.embed)
    rows, columns = np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)
    rows[4 * first[0] : 4 * first[1]] = True
    columns[:, 4 * second[0] : 4 * second[1]] = True
    step = model
    for region in (rows, columns):
        if not region.all():
            step = narrow(step, region, images).after
    if step is not model:
        once = narrow(model, rows & columns, images).after
        assert np.array_equal(step.roi, once.roi)
        assert np.array_equal(step.normal_bank.vectors, once.normal_bank.vectors)
        assert step.thresholds.image == once.thresholds.image
        with pytest.raises(DataError, match="nothing changes"):
            narrow(step, rows & columns, images)


def test_versions_with_other_regions_share_what_is_kept(stained, tmp_path):
    """Features are kept of everywhere, whichever version had them computed."""
    folder = tmp_path / "model"
    fit(stained).save(folder)
    detector = PatchCoreDual.load(folder, embedder=MadeUpEmbedder())
    whole = detector.fingerprint
    with editing(folder):
        outcome = narrowed(detector, dry_run=False)
        commit(folder, detector.model, outcome.edit(by="Ada", why="a fixture"))
    last = history(folder).last
    assert (last.action, last.by, last.why) == ("region", "Ada", "a fixture")
    assert last.effects["share inspected"] == [1.0, LEFT.mean()]
    shutil.rmtree(folder / "images")
    detector = PatchCoreDual.load(folder, embedder=MadeUpEmbedder())
    detector.teach(Lesson(surface(7, SIDE, SIDE), is_defect=False, name="new"), force=True)
    assert np.isnan(detector.model.calibration.evidence.normals[-1].evidence.normal.distance).any()
    undo(folder)
    again = PatchCoreDual.load(folder, embedder=MadeUpEmbedder())
    assert again.fingerprint == whole
    again.teach(Lesson(surface(7, SIDE, SIDE), is_defect=False, name="new"), force=True)
    for one in again.model.calibration.evidence.normals:
        assert np.isfinite(one.evidence.normal.distance).all()
    images = CalibrationImages(again.model, again.embed, folder)
    assert np.isfinite(images.features("new")).all()


def test_images_with_regions_of_their_own(stained, tmp_path):
    shutil.copytree(stained.folder, tmp_path / "own")
    write_png(tmp_path / "own" / "roi.png", ~LEFT)
    first = next(s.image for s in stained if not s.is_defective)
    own = {first: "roi.png"}
    samples = [replace(s, extra={"roi": own.get(s.image, "")}) for s in stained]
    Manifest(tmp_path / "own", tuple(samples)).save()
    detector = fit(Manifest.load(tmp_path / "own"))
    with pytest.raises(
        DataError,
        match=f"a region of their own, of which this one leaves nothing: 1, as {first}. Fit",
    ):
        narrowed(detector)
    top = LEFT.T.copy()
    narrowed(detector, top)
    calibration = detector.model.calibration
    distance = calibration.evidence.normals[
        calibration.normals.index(first)
    ].evidence.normal.distance
    assert np.isfinite(distance).sum() == COLUMNS * (SIDE // 4 - COLUMNS)


def test_a_removed_defect_no_longer_lies_outside(stained):
    detector = fit(stained, "ratio")
    narrowed(detector)
    learned = detector.model.defect_bank.sources
    (outside,) = (s.image for s in stained.part(label="positive") if s.image not in learned)
    removed = detector.teach(removed=[outside], force=True).preview
    assert (removed.n_known, removed.defects_outside) == (5, (1, 0))
    assert detector.teach(removed=learned[:1]).preview.n_known == 5


def test_an_image_that_the_region_does_not_fit_is_not_compared(stained, tmp_path):
    files = [tmp_path / "wide.png", stained.image_path(stained.samples[0])]
    write_png(files[0], np.full((SIDE, 2 * SIDE, 3), 99, np.uint8))
    outcome = narrowed(fit(stained, "ratio"), inspected=files)
    assert (outcome.is_accepted, outcome.preview.n_inspected) == (True, 1)


def test_what_is_refused(stained):
    detector = fit(stained)
    before = detector.fingerprint
    masks = np.any([stained.read_mask(s) for s in stained.part(label="positive")], axis=0)
    for region, message in (
        (
            np.ones((SIDE, SIDE), bool),
            "nothing changes: .* 100.0% of each image, in cells 4 pixels",
        ),
        (np.zeros((SIDE, SIDE), bool), "leaves nothing to inspect"),
        (np.eye(SIDE, dtype=bool), "it holds half of no cell"),
        (~masks, "leaves out the defects of all 6 defective training images"),
        (LEFT[:16], "is 32x16, and the model's images are 32x32: their proportions differ"),
    ):
        with pytest.raises(DataError, match=message):
            narrowed(detector, region)
    right = ~LEFT
    outcome = detector.teach(region=right)
    assert not outcome.is_accepted
    assert any("known defects would lie wholly outside" in one for one in outcome.preview.refusals)
    with pytest.raises(SettingsError, match="one of them"):
        detector.teach(Lesson(with_fixture(stained), False), region=LEFT)
    assert detector.fingerprint == before
    crop = replace(
        detector.model, settings=detector.model.settings.model_copy(update={"patches": "crop"})
    )
    with pytest.raises(SettingsError, match="patches crop"):
        narrow(crop, LEFT, CalibrationImages(detector.model, detector.embed))
    unknown = replace(detector.model, read_calibration=lambda: None)
    with pytest.raises(ModelError, match="keeps no calibration set"):
        CalibrationImages(unknown, detector.embed)


def test_what_is_marked_on_an_image_lies_on_its_part(stained):
    """On an image of another size, and of a part that has moved."""
    model = fit(stained).model
    model = replace(model, size=(SIDE, SIDE))
    image, mask = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), bool)
    mask[:16, 40:] = True
    region = region_without(model, image, mask)
    assert np.array_equal(np.argwhere(~region)[[0, -1]], [[0, 20], [7, 31]])
    with pytest.raises(DataError, match="nothing is marked"):
        region_without(model, image, ~mask & mask)
    with pytest.raises(DataError, match="the mask is 32x64 and its image 64x64"):
        region_without(model, image, mask[:, :32])
    scene = np.zeros((160, 220), np.uint8)
    cv2.randu(scene, 0, 256)
    scene = cv2.normalize(cv2.GaussianBlur(scene, (0, 0), 5), None, 0, 255, cv2.NORM_MINMAX)
    part, moved = (
        np.repeat(scene[y : y + 120, x : x + 180, None], 3, axis=2) for x, y in ((20, 20), (29, 13))
    )
    aligner = Aligner(frame_of(part), "translation", least_confidence=0.2)
    aligned = replace(model, aligner=aligner, size=(180, 120))
    mask = np.zeros((120, 180), bool)
    mask[40:60, 100:130] = True
    region = region_without(aligned, moved, mask)
    assert np.argwhere(~region)[[0, -1]] == pytest.approx(np.array([[33, 109], [52, 138]]), abs=1)
    with pytest.raises(DataError, match=r"cannot be drawn on: .*Take another one"):
        region_without(aligned, np.full((120, 180, 3), 9, np.uint8), mask)
