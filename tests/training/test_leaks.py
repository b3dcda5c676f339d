"""Leaks in cross-fitting: whatever scores a training image must not know what it is to be without.

Each piece of evidence is compared with that of a bank or a probe made here of images listed
plainly.
"""

from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.data.reading import read_image, read_mask, write_png
from patchcore_dual.scoring.fusion.probe import fit_probe, fit_whitening
from patchcore_dual.settings import Settings
from patchcore_dual.training import defect_bank as defect_bank_module
from patchcore_dual.training.cross_fitting import out_of_fold_images
from training.made_up import calibration_of, context_of, defect_bank, features, normal_banks

SETTINGS = Settings(normal_rate=0.3, defect_rate=0.5, seed=3)
KINDS = ("crack", "crack", "hole")  # of the three real defects: two clusters


@pytest.fixture(scope="module")
def training_set(prepared, tmp_path_factory):
    """Defects of two kinds on three commutators, and a pasted defect on each of six good images."""
    folder = tmp_path_factory.mktemp("pasted")
    train = prepared.part(split="train")
    good = train.part(label="negative").samples
    bad = [
        replace(s, kind=kind) for s, kind in zip(train.part(label="positive"), KINDS, strict=True)
    ]
    made = []
    for i, normal in enumerate(good):
        parent = bad[i % len(bad)]
        mask, image = read_mask(train.folder / parent.mask), read_image(train.image_path(normal))
        image = image.copy()
        image[mask] = read_image(train.image_path(parent))[mask] // 2 + 10 * i
        paths = folder / f"{i}.png", folder / f"{i}_mask.png"
        write_png(paths[0], image)
        write_png(paths[1], mask)
        made.append(
            replace(
                parent,
                image=str(paths[0]),
                mask=str(paths[1]),
                origin="pasted",
                group=f"{normal.group}+{parent.group}",
                provenance={"parents": [normal.image, parent.image]},
            )
        )
    return train.where([*good, *bad, *made])


@pytest.fixture(scope="module")
def banks(training_set):
    return normal_banks(training_set, SETTINGS)


@pytest.fixture(scope="module")
def defects(training_set):
    return defect_bank(training_set, SETTINGS)


@pytest.fixture(scope="module")
def calibration(training_set, banks, defects):
    return calibration_of(training_set, SETTINGS, banks, defects, "calibrated")


def probe_of(banks, defects, normal_images, defective_images):
    """A probe fitted on the patches of some images, and whitened by the normal ones of them."""
    normal = np.concatenate([banks.sample.of(name) for name in sorted(normal_images)])
    whitening = fit_whitening(normal)
    known = [defects.patches.of(name) for name in defective_images]
    return fit_probe(whitening, normal, known)


def in_fold(training_set, banks, sample):
    """The real images of a sample's fold."""
    fold = banks.fold_of[sample.image]
    return {s.image for s in training_set.real() if banks.fold_of[s.image] == fold}


def made_from(training_set, images):
    """The synthetic images of which one parent is among some images."""
    return {s.image for s in training_set.synthetic() if set(s.provenance["parents"]) & images}


def images(training_set, label):
    return {s.image for s in training_set.part(label=label)}


def assert_logit(evidence, probe, training_set, sample):
    expected = probe(features(training_set, sample))
    np.testing.assert_allclose(evidence.logit, expected, atol=1e-3 * np.abs(expected).max())


def assert_bank(evidence, bank, sources, training_set, sample):
    """The distances to defects are those to the vectors of some images."""
    assert 0 < len(sources) < len(bank.sources)
    left = bank.without(set(bank.sources) - sources)
    one = features(training_set, sample)
    expected = left.nearest(one.reshape(-1, one.shape[-1]))[0].reshape(one.shape[:2])
    np.testing.assert_allclose(evidence.defect.distance, expected, rtol=1e-3)


def test_the_probe_of_a_held_out_defect_knows_nothing_of_its_fold(
    training_set, banks, defects, calibration
):
    samples = training_set.real().part(label="positive").samples
    for sample, one in zip(samples, calibration.evidence.defectives, strict=True):
        fold = in_fold(training_set, banks, sample)
        known = images(training_set, "positive") - fold - made_from(training_set, fold)
        assert sample.image not in known
        probe = probe_of(banks, defects, images(training_set, "negative") - fold, known)
        assert_logit(one.evidence, probe, training_set, sample)


def test_the_probe_of_a_normal_image_knows_no_patches_of_its_fold_nor_what_was_made_of_them(
    training_set, banks, defects, calibration
):
    """Real defects of its fold stay: they say nothing of how it looks itself."""
    samples = training_set.part(label="negative").samples
    for sample, one in zip(samples, calibration.evidence.normals, strict=True):
        fold = in_fold(training_set, banks, sample)
        known = images(training_set, "positive") - made_from(training_set, fold)
        assert known & fold
        probe = probe_of(banks, defects, images(training_set, "negative") - fold, known)
        assert_logit(one.evidence, probe, training_set, sample)


def test_a_left_out_cluster_leaves_with_all_that_was_made_from_it(
    training_set, banks, defects, calibration
):
    everything = images(training_set, "positive")
    kinds = {s.image: s.kind for s in training_set.real()}
    for number, kind in enumerate(sorted(set(KINDS))):
        cluster = {name for name in everything if kinds.get(name) == kind}
        left = everything - cluster - made_from(training_set, cluster)
        assert any(name not in kinds for name in left)  # others' offspring stay
        probe = probe_of(banks, defects, images(training_set, "negative"), left)
        for sample, one in zip(
            [*training_set.part(label="negative"), *training_set.real().part(label="positive")],
            [*calibration.evidence.normals, *calibration.evidence.defectives],
            strict=True,
        ):
            if sample.is_defective and sample.kind != kind:
                assert number not in one.unseen
                continue
            assert_logit(one.unseen[number], probe, training_set, sample)
            assert_bank(one.unseen[number], defects.bank, left, training_set, sample)
            assert set(one.unseen) == ({number} if sample.is_defective else {0, 1})


def test_a_defect_is_known_only_where_other_folds_hold_defects(training_set, banks):
    def known(manifest):
        defects = defect_bank(manifest, SETTINGS)
        evidence = calibration_of(manifest, SETTINGS, banks, defects, "calibrated").evidence
        assert all(one.is_known for one in evidence.normals)
        return [one.is_known for one in evidence.defectives]

    normals = training_set.part(label="negative").samples
    defectives = training_set.real().part(label="positive").samples
    assert known(training_set.where([*normals, *defectives[:1]])) == [False]
    assert known(training_set.where([*normals, *defectives])) == [True] * 3
    # Synthetic defects of other folds are known defects too; those of its own are not.
    for synthetic in training_set.synthetic():
        parents = set(synthetic.provenance["parents"])
        apart = not parents & in_fold(training_set, banks, defectives[0])
        assert known(training_set.where([*normals, defectives[0], synthetic])) == [apart]


def test_approximate_search_is_judged_with_banks_that_lack_the_image(training_set, banks, defects):
    group_of = {s.image: s.group for s in training_set.real()}
    by_features = {features(training_set, s).tobytes(): s for s in training_set.real()}
    with context_of(training_set, SETTINGS) as context:
        yielded = list(out_of_fold_images(context, training_set, banks, defects))
    assert len(yielded) == len(by_features)
    for one, normal, defect in yielded:
        sample = by_features.pop(one.tobytes())
        fold = in_fold(training_set, banks, sample)
        assert set(normal.sources) == images(training_set, "negative") - fold
        group = {name for name, group in group_of.items() if group == sample.group}
        left = images(training_set, "positive") - group - made_from(training_set, group)
        assert 0 < len(left) < len(defects.bank.sources)
        assert set(defect.sources) == left


def test_which_real_defects_are_kept_does_not_depend_on_synthetic_ones(training_set, monkeypatch):
    """With few enough kept that the coreset has to choose."""
    monkeypatch.setattr(
        defect_bank_module, "coreset_size", lambda count, rate: max(1, int(rate * count))
    )
    both, alone = defect_bank(training_set, SETTINGS), defect_bank(training_set.real(), SETTINGS)
    assert len(alone.bank) < len(alone.patches)
    real = both.bank.without({s.image for s in training_set.synthetic()})
    np.testing.assert_array_equal(real.vectors, alone.bank.vectors)
    np.testing.assert_array_equal(real.cell, alone.bank.cell)
    assert len(real) < len(both.bank) < len(both.patches)
