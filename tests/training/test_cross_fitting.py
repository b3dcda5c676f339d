"""Out-of-fold evidence: nothing that scores a training image was built with it, or made from it."""

from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image, read_mask, write_png
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.scoring import gather_evidence
from patchcore_dual.settings import Settings
from patchcore_dual.training import normal_banks_of
from training.made_up import calibration_of, defect_bank, features, normal_banks


@pytest.fixture(scope="module")
def augmented(prepared, tmp_path_factory):
    """The training side of `prepared`, and a pasted defect on each of its good images."""
    folder = tmp_path_factory.mktemp("synthetic")
    train = prepared.part(split="train")
    good, bad = (train.part(label=label).samples for label in ("negative", "positive"))
    made = []
    for i, normal in enumerate(good):
        parent = bad[i % len(bad)]
        mask = read_mask(train.folder / parent.mask)
        image = read_image(train.image_path(normal)).copy()
        image[mask] = read_image(train.image_path(parent))[mask] // 2 + 10 * i
        paths = [folder / f"{i}.png", folder / f"{i}_mask.png"]
        write_png(paths[0], image)
        write_png(paths[1], mask)
        provenance = {"parents": [normal.image, parent.image]}
        made.append(
            replace(
                parent,
                image=str(paths[0]),
                mask=str(paths[1]),
                origin="pasted",
                group=f"{normal.group}+{parent.group}",
                provenance=provenance,
            )
        )
    return train.where([*train, *made])


@pytest.fixture(scope="module")
def tool():
    return PatchCoreDual(normal_rate=0.3)


@pytest.fixture(scope="module")
def banks(tool, augmented):
    return normal_banks_of(augmented, tool.embedder, tool.settings)


def held_out_by(tool, manifest, banks):
    defects = defect_bank(manifest, tool.settings, embedder=tool.embedder)
    rest = (banks, defects, "calibrated", tool.embedder)
    return calibration_of(manifest, tool.settings, *rest), defects


def test_folds_and_normal_banks_know_nothing_of_synthetic_images(tool, augmented, banks):
    plain = normal_banks_of(augmented.real(), tool.embedder, tool.settings)
    assert banks.fold_of == plain.fold_of
    np.testing.assert_array_equal(banks.whole.vectors, plain.whole.vectors)


def test_synthetic_images_are_never_scored(tool, augmented, banks):
    held_out, _ = held_out_by(tool, augmented, banks)
    assert len(held_out.evidence.normals) == len(augmented.part(label="negative"))
    assert len(held_out.evidence.defectives) == len(augmented.real().part(label="positive"))
    assert set(held_out.normals) == {s.image for s in augmented.part(label="negative")}


def test_held_out_images_meet_no_synthetic_image_made_from_their_group_or_fold(
    tool, augmented, banks
):
    held_out, defects = held_out_by(tool, augmented, banks)
    by_image = {s.image: s for s in augmented}
    samples = [s for s in augmented.real() if not s.is_defective]
    for sample, one in zip(samples, held_out.evidence.normals, strict=True):
        own = {s.image for s in augmented.real() if s.group == sample.group}
        _check(tool, augmented, defects.bank, sample, one.evidence, own, by_image)
    samples = [s for s in augmented.real() if s.is_defective]
    for sample, one in zip(samples, held_out.evidence.defectives, strict=True):
        fold = banks.fold_of[sample.image]
        own = {name for name, k in banks.fold_of.items() if k == fold}
        _check(tool, augmented, defects.bank, sample, one.evidence, own, by_image)


def _check(tool, manifest: Manifest, bank: MemoryBank, sample, evidence, own, by_image):
    allowed = [n for n in bank.sources if n not in own and not by_image[n].parents & own]
    assert 0 < len(allowed) < len(bank.sources)
    features = tool.embed(read_image(manifest.image_path(sample)))
    h, w, d = features.shape
    expected = bank.without(set(bank.sources) - set(allowed)).nearest(features.reshape(-1, d))[0]
    np.testing.assert_allclose(evidence.defect.distance, expected.reshape(h, w), rtol=1e-3)


def test_synthetic_defects_alone_make_a_defect_bank(tool, augmented):
    alone = augmented.where(s for s in augmented if s.is_synthetic or not s.is_defective)
    model = PatchCoreDual(normal_rate=0.3).fit(alone).model
    assert {s.image for s in augmented.synthetic()} == set(model.defect_bank.sources)
    assert model.trained_on["defective_images"] == 0
    assert model.trained_on["synthetic_images"] == {"pasted": 6}
    assert sum(model.rule.weights) == pytest.approx(1)


@pytest.fixture
def train(prepared):
    return prepared.part(split="train")


SETTINGS = Settings(normal_rate=0.3, defect_rate=0.5, seed=3)


@pytest.mark.parametrize("rule", ["ratio", "calibrated"])
def test_a_held_out_image_is_scored_by_banks_without_its_group(train, rule):
    banks = normal_banks(train, SETTINGS)
    defects = defect_bank(train, SETTINGS)
    calibration = calibration_of(train, SETTINGS, banks, defects, rule)
    good = train.part(label="negative").samples
    assert list(calibration.normals) == [s.image for s in good]
    group = {s.image: s.group for s in train}
    for sample, one in zip(good, calibration.evidence.normals, strict=True):
        normal = banks.without_fold[one.fold]
        assert one.fold == banks.fold_of[sample.image]
        assert sample.group not in {group[name] for name in normal.sources}
        defect = defects.bank.without([s.image for s in train if s.group == sample.group])
        assert 0 < len(defect) < len(defects.bank)
        expected = gather_evidence(features(train, sample), normal, defect)
        np.testing.assert_array_equal(one.evidence.normal.distance, expected.normal.distance)
        np.testing.assert_allclose(
            one.evidence.defect.distance, expected.defect.distance, rtol=1e-4
        )
        assert (one.width, one.height) == (64, 96)


def test_held_out_weights_are_those_of_the_banks_that_were_searched(train):
    """What `thesis` and `patchcore-weighted` take their thresholds from."""
    banks = normal_banks(train, SETTINGS)
    defects = defect_bank(train, SETTINGS)
    held_out = calibration_of(train, SETTINGS, banks, defects).evidence
    for sample, one in zip(train.part(label="negative"), held_out.normals, strict=True):
        defect = defects.bank.without([s.image for s in train if s.group == sample.group])
        normal = banks.without_fold[one.fold]
        expected = gather_evidence(features(train, sample), normal, defect)
        assert one.evidence.normal.weight == expected.normal.weight
        assert one.evidence.defect.weight == pytest.approx(expected.defect.weight, rel=1e-4)


def test_a_held_out_defect_is_scored_without_its_fold(train):
    banks = normal_banks(train, SETTINGS)
    defects = defect_bank(train, SETTINGS)
    held_out = calibration_of(train, SETTINGS, banks, defects, "calibrated").evidence
    defective = train.part(label="positive").samples
    assert len(held_out.defectives) == len(defective) == 3
    for sample, one in zip(defective, held_out.defectives, strict=True):
        assert one.fold == banks.fold_of[sample.image]
        own = [s.image for s in defective if banks.fold_of[s.image] == one.fold]
        expected = gather_evidence(
            features(train, sample), banks.without_fold[one.fold], defects.bank.without(own)
        )
        np.testing.assert_array_equal(one.evidence.normal.distance, expected.normal.distance)
        np.testing.assert_allclose(
            one.evidence.defect.distance, expected.defect.distance, rtol=1e-4
        )
        assert one.defect_cells.any()


def test_where_all_defects_are_of_one_group_their_bank_stays(train):
    """Leaving the group out would leave nothing."""
    only = next(s for s in train if s.is_defective)
    few = train.where([only, *train.part(label="negative")])
    banks = normal_banks(few, SETTINGS)
    defects = defect_bank(few, SETTINGS)
    held_out = calibration_of(few, SETTINGS, banks, defects).evidence
    good = few.part(label="negative").samples
    own = next(i for i, s in enumerate(good) if s.group == only.group)
    expected = gather_evidence(features(few, good[own]), banks.whole, defects.bank)
    np.testing.assert_allclose(
        held_out.normals[own].evidence.defect.distance, expected.defect.distance, rtol=1e-4
    )
