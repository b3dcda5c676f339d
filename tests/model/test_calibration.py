"""The calibration set: read from disk, it gives rule and thresholds again to the last bit."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lookalikes import make_ksdd2
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.model import CalibrationSet
from patchcore_dual.model.folder import MODEL_FILE
from patchcore_dual.scoring import (
    RULES,
    Evidence,
    HeldOutImage,
    HeldOutScores,
    Nearest,
    TrainingEvidence,
)
from patchcore_dual.utils.files import file_sha256


@pytest.fixture(scope="module")
def calibrated(prepared, tmp_path_factory):
    """`calibrated` with two kinds of defects, so that the guard leaves clusters out; and saved."""
    kinds = iter("abab" * 9)
    samples = [replace(s, kind=next(kinds) if s.is_defective else "") for s in prepared]
    fitted = PatchCoreDual().fit(prepared.where(samples))
    folder = tmp_path_factory.mktemp("calibrated") / "model"
    fitted.save(folder)
    return fitted.model, folder


def assert_equal(one, other):
    """Two values of any kind, arrays compared to the last bit."""
    if hasattr(one, "__dataclass_fields__"):
        assert type(one) is type(other)
        for name in one.__dataclass_fields__:
            assert_equal(getattr(one, name), getattr(other, name))
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        np.testing.assert_array_equal(one, other)
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)


def without_index(image):
    """The evidence without the nearest vectors' numbers, which are not kept."""

    def blank(evidence):
        parts = {
            name: replace(part, index=np.full_like(part.index, -1))
            for name in ("normal", "defect")
            if (part := getattr(evidence, name)) is not None
        }
        return replace(evidence, **parts)

    unseen = {cluster: blank(evidence) for cluster, evidence in image.unseen.items()}
    return replace(image, evidence=blank(image.evidence), unseen=unseen)


def test_all_evidence_comes_back(calibrated):
    model, folder = calibrated
    loaded = PatchCoreDual.load(folder).model.calibration
    assert loaded is not model.calibration
    evidence = model.calibration.evidence
    assert any(len(image.unseen) == 2 for image in evidence.normals)
    for name in ("normals", "defectives"):
        expected = tuple(map(without_index, getattr(evidence, name)))
        assert_equal(getattr(loaded.evidence, name), expected)
    for name in (
        "normals",
        "defectives",
        "groups",
        "sha256",
        "prepared",
        "covering_radius",
        "whitening",
    ):
        assert_equal(getattr(loaded, name), getattr(model.calibration, name))
    for name in ("normal_sample", "defect_sample"):
        for part in ("vectors", "image", "cell", "sources"):
            one, other = (getattr(getattr(c, name), part) for c in (loaded, model.calibration))
            assert_equal(one, other)


def test_the_rule_and_its_thresholds_can_be_renewed(calibrated):
    model, folder = calibrated
    loaded = PatchCoreDual.load(folder).model
    rule = loaded.calibration.fit_rule(RULES["calibrated"])
    assert_equal(rule.state(), model.rule.state())
    assert loaded.calibration.thresholds(rule, 0.01) == model.thresholds
    assert loaded.calibration.thresholds(rule, 0.5).image.value < model.thresholds.image.value


def test_thresholds_are_out_of_fold():
    """An unusual image, alone in its fold, counts as one that position statistics do not know."""
    rng = np.random.default_rng(0)

    def image(fold, far=0.0):
        distance = np.exp(0.1 * rng.standard_normal((6, 8))).astype(np.float32)
        distance[2, 3] *= np.exp(far)
        evidence = Evidence(Nearest(distance, np.zeros(distance.shape, np.int64)))
        return HeldOutImage(evidence, fold, width=64, height=48)

    odd = image(9, far=3.0)
    evidence = TrainingEvidence((odd, *(image(i % 4) for i in range(11))))
    names = tuple(f"{i}.png" for i in range(12))
    calibration = CalibrationSet(evidence, names, (), names, {}, "", 0.0)
    rule = calibration.fit_rule(RULES["calibrated"])
    held_out, in_fold = (
        HeldOutScores(np.array([output.score for output in outputs])).threshold(0.01).value
        for outputs in (
            rule.held_out(evidence, evidence.normals),
            [rule(one.evidence) for one in evidence.normals],
        )
    )
    assert rule.held_out(evidence, [odd])[0].score > rule(odd.evidence).score + 0.5
    assert held_out > in_fold + 0.5
    assert calibration.thresholds(rule, 0.01).image.value == held_out


@pytest.mark.parametrize("scoring", list(RULES))
def test_thresholds_of_every_rule_can_be_renewed(fitted_with, tmp_path, scoring):
    fitted = fitted_with(scoring=scoring)
    fitted.save(tmp_path / "model")
    loaded = PatchCoreDual.load(tmp_path / "model").model
    assert loaded.calibration.thresholds(loaded.rule, 0.01) == fitted.model.thresholds


def test_images_of_differing_sizes(tmp_path):
    make_ksdd2(tmp_path / "s", train=(4, 2), test=(2, 1), scale=0.3)
    prepare("ksdd2", tmp_path / "s", tmp_path / "p")
    fitted = PatchCoreDual().fit(tmp_path / "p")
    fitted.save(tmp_path / "model")
    loaded = PatchCoreDual.load(tmp_path / "model").model
    shapes = {image.evidence.normal.distance.shape for image in loaded.calibration.evidence.normals}
    assert len(shapes) > 1
    assert loaded.calibration.thresholds(loaded.rule, 0.01) == fitted.model.thresholds


def test_it_says_where_its_images_lie_and_what_they_were(calibrated, prepared):
    model, _ = calibrated
    calibration = model.calibration
    assert calibration.prepared == str(prepared.folder.resolve())
    assert set(calibration.sha256) == {s.image for s in prepared.real().part("train")}
    for name, digest in calibration.sha256.items():
        assert file_sha256(prepared.folder / name) == digest


def test_inspecting_never_reads_it(calibrated, prepared, monkeypatch):
    _, folder = calibrated

    def forbidden(*_):
        raise AssertionError("the calibration set is read")

    monkeypatch.setattr(CalibrationSet, "from_arrays", forbidden)
    loaded = PatchCoreDual.load(folder)
    assert loaded.inspect(prepared.image_path(prepared.samples[0])).score > -1e9
    with pytest.raises(AssertionError, match="is read"):
        assert loaded.model.calibration


def test_whatever_is_kept_is_read(calibrated):
    """Every array of the model's files is used by loading it and its calibration set."""
    _, folder = calibrated
    entry = json.loads((folder / MODEL_FILE).read_text())
    values, arrays = PatchCoreDual.load(folder).model.calibration.to_arrays()
    assert values == {
        **entry["calibration"],
        "normals": values["normals"],
        "defectives": values["defectives"],
        "groups": values["groups"],
        "sources": values["sources"],
    }
    touched = set()

    class Watched(dict):
        def __getitem__(self, key):
            touched.add(key)
            return super().__getitem__(key)

    CalibrationSet.from_arrays(values, Watched(arrays))
    assert touched == set(arrays)
