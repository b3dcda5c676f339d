"""`PatchCoreDual`: fit, inspect, save, load, on the packaged network."""

import copy
import gc
import itertools
import json
import multiprocessing
import pickle
import threading
import weakref
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lookalikes import make_folder, make_ksdd2, surface
from patchcore_dual.banks import MemoryBank
from patchcore_dual.data import pixels
from patchcore_dual.data.light import CHANGES
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_image
from patchcore_dual.data.resizing import resize_image
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, ImageError, ModelError, SettingsError
from patchcore_dual.features import EmbedderSpec
from patchcore_dual.scoring import (
    RULES,
    HeldOutScores,
    anomaly_map,
    familiarity,
    gather_evidence,
    resize_map,
)
from patchcore_dual.scoring.fusion import PatchCore
from patchcore_dual.settings import PRESETS, Settings
from patchcore_dual.training.light_effect import LEAST_IMAGES


def first(manifest, split="test", label="positive"):
    manifest = manifest.part(split, label)
    return manifest.image_path(manifest.samples[0])


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def same(one, other):
    assert one.to_json() == other.to_json()
    np.testing.assert_array_equal(one.anomaly_map, other.anomaly_map)


def test_an_inspection_is_the_method_step_by_step(detector, prepared):
    image = read_image(first(prepared))
    model = detector.model
    evidence = gather_evidence(detector.embed(image), model.normal_bank, model.defect_bank)
    score, grid = model.rule(evidence)
    inspection = detector.inspect(image)
    assert inspection.score == score
    np.testing.assert_array_equal(inspection.anomaly_map, anomaly_map(grid, 96, 64, 2.0))
    assert inspection.threshold == model.thresholds.image.value
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    for match, bank, nearest in (
        (inspection.nearest_normal, model.normal_bank, evidence.normal),
        (inspection.nearest_defect, model.defect_bank, evidence.defect),
    ):
        assert match.distance == nearest.distance[row, column]
        assert (match.image, match.row, match.column) == bank.source(nearest.index[row, column])


def test_known_defects_are_rejected_and_known_good_images_pass(detector, prepared):
    rejected = detector.inspect(first(prepared, "train"))
    assert rejected.verdict == "reject"
    assert rejected.nearest_defect.image == prepared.part("train", "positive").samples[0].image
    assert rejected.nearest_defect.distance == pytest.approx(0, abs=1e-4)
    good = prepared.part("train", "negative")
    assert detector.inspect(good.image_path(good.samples[0])).verdict == "pass"


def test_a_region_marks_the_defect(detector, prepared):
    train = prepared.part("train", "positive")
    inspection = detector.inspect(train.image_path(train.samples[0]))
    y, x = np.unravel_index(inspection.anomaly_map.argmax(), inspection.anomaly_map.shape)
    region = inspection.regions[0]
    assert region.x <= x < region.x + region.width
    assert region.y <= y < region.y + region.height
    assert region.peak == inspection.anomaly_map.max()
    # The defect is a bar at 10..30 of 50 and about 41..45 of 126 pixels.
    assert 8 <= x <= 44
    assert 24 <= y <= 44


@pytest.mark.parametrize("scoring", list(RULES))
def test_every_reject_has_a_region(fitted_with, prepared, scoring):
    rule = RULES[scoring]
    strict = copy.copy(fitted_with(scoring=scoring))
    assert isinstance(strict.model.rule, rule)
    thresholds = strict.model.thresholds
    # Thresholds by which every image is rejected, though smoothing leaves no pixel above.
    low = replace(thresholds.image, value=-1e9)
    strict._model = replace(strict.model, thresholds=replace(thresholds, pixel=1e9).with_image(low))
    for sample in prepared.part("test"):
        inspection = strict.inspect(prepared.image_path(sample))
        assert inspection.verdict == "reject"
        assert len(inspection.regions) == 1


@pytest.mark.parametrize("scoring", list(RULES))
def test_round_trip(fitted_with, prepared, tmp_path, scoring):
    fitted = fitted_with(scoring=scoring)
    fitted.save(tmp_path / "model")
    loaded = PatchCoreDual.load(tmp_path / "model")
    assert type(loaded.model.rule) is type(fitted.model.rule)
    for one, other in zip(loaded.model.rule.state(), fitted.model.rule.state(), strict=True):
        np.testing.assert_equal(one, other)
    assert loaded.model.thresholds == fitted.model.thresholds
    assert loaded.settings == fitted.settings
    assert loaded.fingerprint == fitted.fingerprint
    assert loaded.about() == fitted.about()
    for sample in prepared.part("test").samples[::3]:
        path = prepared.image_path(sample)
        same(fitted.inspect(path), loaded.inspect(path))
    loaded.save(tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "model")


def test_the_same_seed_gives_the_same_bytes(detector, model_folder, prepared, tmp_path):
    PatchCoreDual(scoring="ratio").fit(prepared).save(tmp_path / "same")
    assert files(tmp_path / "same") == files(model_folder)
    other = PatchCoreDual(scoring="ratio", seed=1).fit(prepared)
    assert other.fingerprint != detector.fingerprint


def test_fitting_again_forgets_the_first_fit(prepared):
    detector = PatchCoreDual(scoring="patchcore").fit(prepared)
    before = detector.fingerprint
    fewer = prepared.where(prepared.part("train").samples[:-1])
    assert detector.fit(fewer).fingerprint != before


def test_an_image_of_another_size(detector, prepared):
    path = first(prepared, "train")
    image = resize_image(read_image(path), 131, 201)
    inspection = detector.inspect(image)
    assert inspection.anomaly_map.shape == (201, 131)
    assert inspection.image.shape == (201, 131, 3)
    assert inspection.note == "resized from 131x201 to the model's 64x96"
    assert inspection.note in str(inspection)
    at_model_size = detector.inspect(resize_image(image, 64, 96))
    assert at_model_size.score == inspection.score
    assert at_model_size.note == ""
    np.testing.assert_array_equal(
        inspection.anomaly_map, resize_map(at_model_size.anomaly_map, 201, 131)
    )
    assert inspection.regions
    for region in inspection.regions:
        assert region.x + region.width <= 131
        assert region.y + region.height <= 201


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((20, 30), np.uint16),
        np.zeros((20, 30, 4), np.uint8),
        np.zeros((20, 30, 3), np.float32),
        np.zeros((1, 20, 30, 3), np.uint8),
        np.zeros((0, 30, 3), np.uint8),
    ],
)
def test_a_wrong_array_is_named(detector, wrong):
    with pytest.raises(ImageError, match=r"part 7 is .*give uint8 \[H, W, 3\], RGB"):
        detector.inspect(wrong, name="part 7")


def test_views_of_an_array_are_inspected_as_the_array(detector, prepared):
    image = read_image(first(prepared, "train"))
    bgr, planar = image[..., ::-1].copy(), image.transpose(2, 0, 1).copy()
    expected = detector.inspect(image)
    for view in (bgr[..., ::-1], planar.transpose(1, 2, 0), np.flipud(np.flipud(image).copy())):
        same(detector.inspect(view), expected)
        np.testing.assert_array_equal(detector.embed(view), detector.embed(image))


def test_an_inspection_keeps_its_image_when_the_buffer_takes_the_next_frame(detector, prepared):
    image = read_image(first(prepared))
    buffer = image.copy()
    inspection = detector.inspect(buffer)
    buffer[:] = 0
    np.testing.assert_array_equal(inspection.image, image)


@pytest.mark.parametrize("scoring", ["ratio", "calibrated", "patchcore"])
def test_a_detector_can_be_pickled_and_copied(prepared, tmp_path, scoring):
    fitted = PatchCoreDual(scoring=scoring).fit(prepared, model_folder=tmp_path / "model")
    path = first(prepared)
    expected = fitted.inspect(path)
    for one in (fitted, PatchCoreDual.load(tmp_path / "model")):
        for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
            same(other.inspect(path), expected)
            assert other.fingerprint == fitted.fingerprint
            scores = (d.model.calibration.scores(d.model.rule) for d in (other, fitted))
            for ours, theirs in zip(*scores, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_an_unfitted_detector_can_be_pickled_and_fitted(detector, prepared):
    sent = pickle.loads(pickle.dumps(PatchCoreDual(scoring="ratio")))
    assert sent.fit(prepared).fingerprint == detector.fingerprint


def test_a_detector_works_in_spawned_processes(detector, prepared):
    paths = [prepared.image_path(s) for s in prepared.part("test").samples[:2]]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        scores = [inspection.score for inspection in pool.map(detector.inspect, paths)]
    assert scores == [detector.inspect(path).score for path in paths]


def test_a_missing_or_broken_file_is_named(detector, tmp_path):
    with pytest.raises(ImageError, match=r"none\.png"):
        detector.inspect(tmp_path / "none.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match=r"broken\.png"):
        detector.inspect(str(tmp_path / "broken.png"))


def test_says_prints_and_draws(detector, prepared):
    path = first(prepared, "train")
    inspection = detector.inspect(path)
    assert str(inspection).startswith(f"{path}: reject  score ")
    values = json.loads(json.dumps(inspection.to_json()))
    assert values["path"] == str(path)
    assert values["verdict"] == "reject"
    assert values["model"] == detector.fingerprint
    assert len(detector.fingerprint) == 16
    assert values["regions"]
    mask = np.zeros((96, 64), bool)
    mask[30:40] = True
    drawn = inspection.draw(mask)
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] > inspection.draw().shape[1]


def test_of_a_stream_none_is_taken_before_its_turn(detector, prepared):
    opened = []

    def paths():
        for sample in prepared.part("test").samples[:3]:
            opened.append(prepared.image_path(sample))
            yield opened[-1]

    inspections = detector.inspect_many(paths())
    one = next(inspections)
    assert len(opened) == 1
    same(one, detector.inspect(opened[0]))
    assert len(list(inspections)) == 2


def test_a_list_is_read_ahead_by_two_and_answered_alike(detector, prepared, monkeypatch):
    opened = []
    read = pixels.read
    monkeypatch.setattr(
        pixels, "read", lambda path, *rest: opened.append(path) or read(path, *rest)
    )
    paths = [prepared.image_path(s) for s in prepared.part("test").samples[:6]]
    for n, inspection in enumerate(detector.inspect_many(paths), start=1):
        assert n <= len(opened) <= min(n + 2, 6)
        same(inspection, detector.inspect(read_image(paths[n - 1]), str(paths[n - 1])))
    assert opened == paths


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells resident memory")
def test_memory_stays_flat(detector, prepared):
    import resource  # not on Windows

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    paths = [prepared.image_path(s) for s in prepared.part("test")]
    inspections = detector.inspect_many([paths[i % len(paths)] for i in range(350)])
    for _ in itertools.islice(inspections, 50):
        pass
    before = resident()
    assert sum(1 for _ in inspections) == 300
    assert resident() - before < 300 * 64 * 96 * 3  # less than the images themselves


def test_a_detector_no_longer_used_gives_its_memory_back_at_once(model_folder, prepared):
    detector = PatchCoreDual.load(model_folder)
    inspection = detector.inspect(first(prepared))
    held = weakref.ref(detector), weakref.ref(detector.model.normal_bank)
    gc.disable()  # which may come late, or never
    try:
        del detector
        assert held[0]() is None
        inspection = replace(inspection, picture_of=None)  # as the station keeps it
        assert held[1]() is None
    finally:
        gc.enable()
    assert inspection.score


def test_an_unreadable_image_of_a_list_ends_it_in_its_place(detector, prepared, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    path = prepared.image_path(prepared.part("test").samples[0])
    inspections = detector.inspect_many([path, tmp_path / "broken.png", path])
    same(next(inspections), detector.inspect(path))
    with pytest.raises(ImageError, match=r"broken\.png"):
        next(inspections)
    assert not [t for t in threading.enumerate() if t.name.startswith("prefetch")]


def test_an_unreadable_image_can_be_given_in_its_place(detector, prepared, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    path = prepared.image_path(prepared.part("test").samples[0])
    images = [path, tmp_path / "broken.png", path]
    for given in (images, iter(images)):
        first_, error, last = detector.inspect_many(given, on_error="yield")
        same(first_, last)
        assert isinstance(error, ImageError)
        assert "broken.png" in str(error)


class Cells:
    """An embedder of the user's own: the pixels of 4x4 cells."""

    spec = EmbedderSpec("cells", (), (48,), stride=4)

    def __call__(self, images):
        b, h, w, _ = images.shape
        cells = images.reshape(b, h // 4, 4, w // 4, 4, 3).swapaxes(2, 3)
        return cells.reshape(b, h // 4, w // 4, 48).astype(np.float32)


@pytest.mark.parametrize("scoring", ["calibrated", "ratio"])
def test_an_embedder_of_the_users_own(prepared, tmp_path, scoring):
    fitted = PatchCoreDual(embedder=Cells(), scoring=scoring).fit(prepared)
    inspection = fitted.inspect(first(prepared, "train"))
    assert inspection.verdict == "reject"
    fitted.save(tmp_path / "model")
    same(
        PatchCoreDual.load(tmp_path / "model", embedder=Cells()).inspect(first(prepared)),
        fitted.inspect(first(prepared)),
    )
    with pytest.raises(ModelError, match="an embedder of your own"):
        PatchCoreDual.load(tmp_path / "model")
    other = Cells()
    other.spec = EmbedderSpec("other", (), (48,), stride=4)
    with pytest.raises(ModelError, match="another embedder"):
        PatchCoreDual.load(tmp_path / "model", embedder=other)


@pytest.mark.parametrize("has_masks", [True, False])
def test_fitting_embeds_each_image_once(prepared, has_masks):
    seen = []

    class Counting(Cells):
        def __call__(self, images):
            seen.extend(image.tobytes() for image in images)
            return super().__call__(images)

    manifest = prepared
    if not has_masks:
        manifest = prepared.where(replace(s, mask="") for s in prepared)
    PatchCoreDual(embedder=Counting()).fit(manifest)
    images = {manifest.read_image(sample).tobytes() for sample in manifest.part("train")}
    assert len(seen) == len(set(seen))
    assert images < set(seen)
    # Besides: a few good images in other light.
    assert 0 < len(set(seen) - images) <= LEAST_IMAGES * len(CHANGES)


def test_fit_with_a_folder_saves_the_model_and_leaves_no_checkpoint(prepared, tmp_path):
    fitted = PatchCoreDual(scoring="ratio").fit(prepared, model_folder=tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert PatchCoreDual.load(tmp_path / "model").fingerprint == fitted.fingerprint


def test_fit_does_not_replace_a_model_without_being_asked(prepared, tmp_path):
    model = tmp_path / "model"
    first_ = PatchCoreDual(scoring="patchcore").fit(prepared, model_folder=model)
    seen = []
    with pytest.raises(ModelError, match="already holds a model"):
        PatchCoreDual(scoring="patchcore", seed=1).fit(
            prepared, model_folder=model, progress=lambda *step: seen.append(step)
        )
    assert not seen  # before any work
    second = PatchCoreDual(scoring="patchcore", seed=1).fit(
        prepared, model_folder=model, overwrite=True
    )
    assert second.fitted.former.number == 1
    assert PatchCoreDual.load(tmp_path / "model@1").fingerprint == first_.fingerprint
    assert PatchCoreDual.load(model).fingerprint == second.fingerprint


def test_two_fits_into_one_model_are_one_and_a_clear_error(prepared, tmp_path):
    errors = []

    def fit_again(stage, done, total):
        if not errors:
            with pytest.raises(DataError, match=r"model is in use: another fit .*process \d+") as e:
                PatchCoreDual(scoring="ratio").fit(prepared, model_folder=tmp_path / "model")
            errors.append(e)

    fitted = PatchCoreDual(scoring="ratio").fit(
        prepared, model_folder=tmp_path / "model", progress=fit_again
    )
    assert errors
    assert PatchCoreDual.load(tmp_path / "model").fingerprint == fitted.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("damage", ["rows", "twice", "arrays", "journal", "evidence"])
def test_a_fit_goes_on_from_damaged_work_to_the_same_model(fitted_with, prepared, tmp_path, damage):
    """As two fits at once left it, or a disk."""

    class Interruption(Exception):
        pass

    def interrupt(stage, done, total):
        if stage == "scoring held-out images" and done == 3:
            raise Interruption

    with pytest.raises(Interruption):
        PatchCoreDual().fit(prepared, model_folder=tmp_path / "model", progress=interrupt)
    work = tmp_path / ".model.unfinished"
    journal = work / "journal.jsonl"
    projected = work / "projected normal images"
    lines = journal.read_text().splitlines(keepends=True)
    if damage == "rows":
        projected.write_bytes(projected.read_bytes() + projected.read_bytes())
    elif damage == "twice":
        projected.write_bytes(projected.read_bytes() * 2)
        (work / "coresets.npz").unlink()
        journal.write_text("".join(lines + lines))
    elif damage == "arrays":
        for name in ("coresets", "layout of normal images"):
            np.savez(work / f"{name}.npz", layout=np.zeros((2, 2)), starts=np.arange(3))
    elif damage == "journal":
        journal.write_text('{"rows": -1}\n' + "".join(lines[:3]) + '{"file": 3}\n{}\n')
    else:
        (work / "out-of-fold distances").write_bytes(b"1" * 16)
        entry = {"file": "out-of-fold distances", "image": 0, "rows": 1}
        entry["checksum"] = zlib.crc32(b"1" * 16, 1)
        others = [line for line in lines if "out-of-fold" not in line]
        journal.write_text("".join([*others, json.dumps(entry) + "\n"]))
    again = PatchCoreDual().fit(prepared, model_folder=tmp_path / "model")
    assert again.fingerprint == fitted_with().fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_an_interrupted_fit_resumes_to_the_same_model(fitted_with, prepared, tmp_path):
    class Interruption(Exception):
        pass

    def interrupt(stage, done, total):
        if stage == "scoring held-out images" and done == 3:
            raise Interruption

    with pytest.raises(Interruption):
        PatchCoreDual().fit(prepared, model_folder=tmp_path / "model", progress=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == [".model.unfinished"]
    stages = []
    again = PatchCoreDual().fit(
        prepared,
        model_folder=tmp_path / "model",
        progress=lambda stage, done, total: stages.append(stage),
    )
    assert "features of normal images" not in stages
    assert again.fingerprint == fitted_with().fingerprint


def test_thresholds_come_from_held_out_scores(detector):
    model = detector.model
    assert len(model.calibration.normals) == 6
    scores, _ = model.calibration.scores(model.rule)
    image = model.thresholds.image
    assert image == HeldOutScores(scores, model.calibration.groups).threshold(0.01)
    assert (image.images, image.groups, image.promised) == (6, 3, 1 / 4)


@pytest.mark.parametrize("scoring", ["thesis", "patchcore-weighted", "ratio"])
def test_held_out_scores_are_of_the_kind_that_inspections_give(fitted_with, prepared, scoring):
    """A model of two groups scores images of the third about as they were scored held out.

    A term that holding out forgets, as a weight, shows as a factor of two or more.
    """
    train = prepared.part("train")
    whole = fitted_with(scoring=scoring).model
    held_out, _ = whole.calibration.scores(whole.rule)
    scores = dict(zip(whole.calibration.normals, held_out, strict=True))
    for group in sorted({s.group for s in train}):
        rest = PatchCoreDual(scoring=scoring).fit(train.where(s for s in train if s.group != group))
        for sample in train.part(label="negative"):
            if sample.group == group:
                again = rest.inspect(train.image_path(sample)).score
                assert scores[sample.image] == pytest.approx(again, rel=0.4)


def test_the_asked_false_alarm_rate_is_used(prepared):
    model = PatchCoreDual(scoring="patchcore", false_alarm_rate=0.5).fit(prepared).model
    scores = HeldOutScores(model.calibration.scores(model.rule)[0], model.calibration.groups)
    assert model.thresholds.image == scores.threshold(0.5)


def test_only_training_images_are_touched(detector, prepared, monkeypatch):
    opened = set()
    monkeypatch.setattr(
        "patchcore_dual.data.reading.read_image",
        lambda path: opened.add(path) or read_image(path),
    )
    again = PatchCoreDual(scoring="ratio").fit(prepared)
    assert opened == {prepared.image_path(s) for s in prepared.part("train")}
    assert again.fingerprint == detector.fingerprint


def test_projected_bank_vectors(prepared, tmp_path):
    fitted = PatchCoreDual(bank_vectors="projected", scoring="thesis").fit(prepared)
    assert fitted.model.normal_bank.vectors.shape[1] == 128
    assert fitted.model.defect_bank.vectors.shape[1] == 128
    fitted.save(tmp_path / "model")
    same(
        fitted.inspect(first(prepared)),
        PatchCoreDual.load(tmp_path / "model").inspect(first(prepared)),
    )


def test_levels(prepared, tmp_path):
    fitted = PatchCoreDual(scoring="ratio", levels=(1, 2, 3)).fit(prepared)
    assert fitted.embed(read_image(first(prepared))).shape == (24, 16, 24 + 40 + 112)
    fitted.save(tmp_path / "model")
    loaded = PatchCoreDual.load(tmp_path / "model")
    assert loaded.embedder.spec.levels == (1, 2, 3)
    same(fitted.inspect(first(prepared)), loaded.inspect(first(prepared)))


def test_the_preset_is_the_literal_thesis(prepared):
    preset = Settings.of(**PRESETS["thesis"])
    assert preset.backbone == "resnet50"
    assert (preset.scoring, preset.patches, preset.bank_vectors) == ("thesis", "crop", "full")
    assert (preset.normal_rate, preset.defect_rate, preset.levels) == (0.01, 0.1, (2, 3))
    assert RULES["thesis"].sigma == 2
    small = PatchCoreDual(**{**PRESETS["thesis"], "backbone": "efficientnet_lite0"}).fit(prepared)
    assert isinstance(small.model.defect_bank, MemoryBank)
    assert small.inspect(first(prepared)).score > 0


def test_native_sizes(tmp_path):
    """Every image keeps its size, and the feature grid follows."""
    make_ksdd2(tmp_path / "s", train=(4, 2), test=(2, 1), scale=0.3)
    prepare("ksdd2", tmp_path / "s", tmp_path / "p")
    manifest = Manifest.load(tmp_path / "p")
    for choice in ("mask", "crop"):
        detector = PatchCoreDual(scoring="ratio", patches=choice).fit(manifest)
        assert detector.model.size is None
        assert detector.about()["size"] == "native"
        sizes = set()
        for sample in manifest.part("test"):
            image = read_image(manifest.image_path(sample))
            inspection = detector.inspect(image)
            assert inspection.anomaly_map.shape == image.shape[:2]
            assert inspection.note == ""
            sizes.add(image.shape)
        assert len(sizes) > 1
    detector.save(tmp_path / "model")
    path = first(manifest)
    same(detector.inspect(path), PatchCoreDual.load(tmp_path / "model").inspect(path))


def test_without_usable_defects_it_is_patchcore(prepared, tmp_path):
    good = prepared.where(s for s in prepared if s.split == "test" or not s.is_defective)
    plain = PatchCoreDual(scoring="ratio").fit(good)
    baseline = PatchCoreDual(scoring="patchcore").fit(good)
    assert plain.model.defect_bank is None
    assert type(plain.model.rule) is PatchCore
    for sample in prepared.part("test"):
        one, other = (d.inspect(prepared.image_path(sample)) for d in (plain, baseline))
        assert (one.score, one.verdict) == (other.score, other.verdict)
        assert one.nearest_defect is None
    plain.save(tmp_path / "model")
    path = first(prepared)
    same(plain.inspect(path), PatchCoreDual.load(tmp_path / "model").inspect(path))


def test_defects_whose_masks_are_unknown_are_looked_for(tmp_path):
    """The bank takes the place in each image that stands out, and it is said how many had none."""
    prepare("folder", make_folder(tmp_path / "s"), tmp_path / "p", width=64, height=48)
    manifest = Manifest.load(tmp_path / "p")
    stains = manifest.where(s for s in manifest if s.kind != "scratch")
    model = PatchCoreDual(scoring="ratio").fit(stains).model
    defective = {s.image for s in stains.part("train", "positive")}
    assert defective
    assert set(model.defect_bank.sources) == defective
    assert len(model.defect_bank) < 0.2 * 48 * len(defective)
    assert model.trained_on["defective_images_without_mask"] == len(defective)
    assert model.trained_on["defective_images"] == len(defective)
    assert model.trained_on["kinds"] == ["stain"]


def test_the_patchcore_score_needs_no_defects_to_be_left_out(fitted_with, prepared):
    """Defects change nothing of the baseline, but for how a network rounds that met many sizes."""
    good = prepared.where(s for s in prepared if s.split == "test" or not s.is_defective)
    one = fitted_with(scoring="patchcore").inspect(first(prepared))
    other = PatchCoreDual(scoring="patchcore").fit(good).inspect(first(prepared))
    assert (one.score, one.threshold) == pytest.approx((other.score, other.threshold), rel=1e-5)


def test_fit_takes_a_folder(detector, prepared):
    assert (
        PatchCoreDual(scoring="ratio").fit(str(prepared.folder)).fingerprint == detector.fingerprint
    )


def test_too_few_images(prepared):
    detector = PatchCoreDual(scoring="ratio")
    with pytest.raises(DataError, match="no image is in the train split"):
        detector.fit(prepared.part("test"))
    with pytest.raises(DataError, match="the train split has no normal images"):
        detector.fit(prepared.part(label="positive"))
    one = prepared.where(prepared.part("train", "negative").samples[:1])
    with pytest.raises(DataError, match="one normal training image is too few"):
        detector.fit(one)
    with pytest.raises(ModelError, match="not fitted"):
        detector.inspect(surface(0, 64, 96))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scoring": "rato"}, "no scoring rule 'rato'"),
        ({"backbone": "vgg"}, "no backbone 'vgg'"),
        ({"levels": (3, 2)}, "levels"),
        ({"patches": "all"}, "setting patches = 'all'"),
        ({"normal_rate": 0.0}, "setting normal_rate"),
        ({"defect_rate": 1.5}, "setting defect_rate"),
        ({"false_alarm_rate": 1.0}, "setting false_alarm_rate"),
        ({"seed": -1}, "setting seed"),
        ({"sigma": 3}, "setting sigma"),
    ],
)
def test_a_wrong_setting_is_told_at_once(settings, message):
    with pytest.raises(SettingsError, match=message):
        PatchCoreDual(**settings)


def test_another_product_and_a_covered_lens_are_not_called_defects(detector, prepared, monkeypatch):
    monkeypatch.setattr(familiarity, "LEAST_IMAGES", 2)  # the limit takes more than these few
    limit = familiarity.greatest_distance(detector.model.calibration.evidence)
    monkeypatch.setitem(detector.model.trained_on, "greatest_distance", limit)
    test_images = list(detector.inspect_many(map(prepared.image_path, prepared.part("test"))))
    assert not any(inspection.is_foreign for inspection in test_images)
    noise = np.random.default_rng(0).integers(0, 256, (96, 64, 3)).astype(np.uint8)
    for other in (np.zeros_like(noise), np.full_like(noise, 255), noise):
        inspection = detector.inspect(other)
        assert inspection.is_foreign
        assert inspection.verdict == "reject"
