"""Banks and held-out evidence, with a made-up embedding, against one direct pass."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lookalikes import make_folder
from patchcore_dual.banks import coreset_size, projection_matrix, select_coreset
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.errors import DataError
from patchcore_dual.features.defect_patches import defect_patches
from patchcore_dual.scoring import gather_evidence
from patchcore_dual.settings import Settings
from patchcore_dual.training.banks import assign_folds, build_defect_bank, build_normal_banks
from patchcore_dual.training.checkpoint import FitCheckpoint
from patchcore_dual.training.cross_fitting import KEPT_PATCHES, cross_fit
from patchcore_dual.utils.progress import silent

CELL = 4


def embed(image):
    """float32 `[h, w, 48]`: the 4x4 pixels of each cell, all different from cell to cell."""
    height, width = image.shape[:2]
    cells = image.reshape(height // CELL, CELL, width // CELL, CELL, 3).swapaxes(1, 2)
    return cells.reshape(height // CELL, width // CELL, -1).astype(np.float32)


def wide(image):
    """As `embed`, with 192 dimensions, so that the projection has something to do."""
    cells = embed(image)
    mix = np.random.default_rng(1).standard_normal((cells.shape[-1], 192)).astype(np.float32)
    return cells @ mix


def features(manifest, sample, function=embed):
    return function(read_image(manifest.image_path(sample)))


@pytest.fixture
def train(prepared):
    return prepared.part(split="train")


SETTINGS = Settings(normal_rate=0.3, defect_rate=0.5, seed=3)


def defects_of(manifest, settings=SETTINGS, size=None):
    return build_defect_bank(embed, manifest, settings, size, None, {}, silent)


def held_out_of(manifest, banks, defects, uses_probe=False):
    return cross_fit(embed, manifest, banks, defects, {}, uses_probe, 0.01, silent)


def one_pass(vectors, rate, seed):
    """The sorted choice of a coreset of full vectors that lie in memory."""
    projected = vectors @ projection_matrix(vectors.shape[1], seed)
    return np.sort(select_coreset(projected, coreset_size(len(vectors), rate), seed))


def test_the_normal_bank_is_that_of_one_pass(train):
    bank = build_normal_banks(wide, train, SETTINGS, None, silent).whole
    good = train.part(label="negative").samples
    everything = np.concatenate([features(train, s, wide).reshape(-1, 192) for s in good])
    chosen = one_pass(everything, 0.3, 3)
    assert 500 < len(chosen) < len(everything)
    np.testing.assert_allclose(bank.vectors, everything[chosen], rtol=1e-6)
    per_image = 24 * 16
    assert [bank.sources[i] for i in bank.image] == [good[c // per_image].image for c in chosen]
    np.testing.assert_array_equal(bank.cell, np.stack(np.divmod(chosen % per_image, 16), axis=1))


def test_banks_without_a_fold_are_those_of_one_pass(train):
    banks = build_normal_banks(embed, train, SETTINGS, None, silent)
    assert len(banks.without_fold) == 3  # as many as there are commutators
    for fold, bank in enumerate(banks.without_fold):
        others = [s for s in train.part(label="negative") if banks.fold_of[s.image] != fold]
        vectors = np.concatenate([features(train, s).reshape(-1, 48) for s in others])
        np.testing.assert_array_equal(bank.vectors, vectors[one_pass(vectors, 0.3, 3)])
        assert set(bank.sources) == {s.image for s in others}


def test_the_banks_without_a_fold_can_be_done_without(train):
    alone = build_normal_banks(embed, train, SETTINGS, None, silent, cross_fit=False)
    assert len(alone.without_fold) == 0
    whole = build_normal_banks(embed, train, SETTINGS, None, silent).whole
    np.testing.assert_array_equal(alone.whole.vectors, whole.vectors)


@pytest.mark.parametrize("choice", ["mask", "box", "crop"])
def test_the_defect_bank_is_that_of_one_pass(train, choice):
    settings = Settings(patches=choice, defect_rate=0.5, seed=3)
    bank = defects_of(train, settings, (64, 96)).bank
    vectors, cells, names = [], [], []
    for sample in train.part(label="positive"):
        image, mask = read_image(train.image_path(sample)), read_mask(train.mask_path(sample))
        v, c = defect_patches(embed, image, mask, choice, (64, 96))
        vectors.append(v)
        cells.append(c)
        names += [sample.image] * len(v)
    vectors, cells = np.concatenate(vectors), np.concatenate(cells)
    chosen = one_pass(vectors, 0.5, 3)
    assert (len(chosen) < len(vectors)) == (choice == "crop")
    np.testing.assert_array_equal(bank.vectors, vectors[chosen])
    np.testing.assert_array_equal(bank.cell, cells[chosen])
    assert [bank.source(i)[0] for i in range(len(bank))] == [names[c] for c in chosen]


def test_each_vector_is_the_feature_of_its_image_and_cell(train):
    normal = build_normal_banks(embed, train, SETTINGS, None, silent)
    defect = defects_of(train).bank
    by_name = {s.image: features(train, s) for s in train}
    for bank in (normal.whole, *normal.without_fold, defect):
        for i in range(0, len(bank), 7):
            name, row, column = bank.source(i)
            np.testing.assert_array_equal(bank.vectors[i], by_name[name][row, column])
    labels = {s.image: s.label for s in train}
    assert {labels[n] for n in normal.whole.sources} == {"negative"}
    assert {labels[n] for n in defect.sources} == {"positive"}


def test_the_seed_decides_the_coreset(train):
    def vectors(seed):
        settings = Settings(normal_rate=0.3, seed=seed)
        return build_normal_banks(wide, train, settings, None, silent).whole.vectors

    assert np.array_equal(vectors(0), vectors(0))
    assert not np.array_equal(vectors(0), vectors(1))


def test_images_are_embedded_twice_and_never_held(train):
    """Once to choose by projections, once for the chosen vectors, one image at a time."""
    seen = Counter()

    def counting(image):
        seen[image.tobytes()] += 1
        return embed(image)

    build_normal_banks(counting, train, SETTINGS, None, silent)
    assert len(seen) == 6
    assert set(seen.values()) == {2}


@pytest.mark.parametrize("uses_probe", [False, True])
def test_a_held_out_image_is_scored_by_banks_without_its_group(train, uses_probe):
    banks = build_normal_banks(embed, train, SETTINGS, None, silent)
    defects = defects_of(train)
    held_out = held_out_of(train, banks, defects, uses_probe)
    good = train.part(label="negative").samples
    assert [one.name for one in held_out.kept] == [s.image for s in good]
    group = {s.image: s.group for s in train}
    for sample, one in zip(good, held_out.training.normals, strict=True):
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
    banks = build_normal_banks(embed, train, SETTINGS, None, silent)
    defects = defects_of(train)
    held_out = held_out_of(train, banks, defects).training
    for sample, one in zip(train.part(label="negative"), held_out.normals, strict=True):
        defect = defects.bank.without([s.image for s in train if s.group == sample.group])
        normal = banks.without_fold[one.fold]
        expected = gather_evidence(features(train, sample), normal, defect)
        assert one.evidence.normal.weight == expected.normal.weight
        assert one.evidence.defect.weight == pytest.approx(expected.defect.weight, rel=1e-4)


def test_a_held_out_defect_is_scored_without_its_fold(train):
    banks = build_normal_banks(embed, train, SETTINGS, None, silent)
    defects = defects_of(train)
    held_out = held_out_of(train, banks, defects, True).training
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


def test_the_most_anomalous_patches_are_kept(train):
    banks = build_normal_banks(embed, train, SETTINGS, None, silent)
    with_defects = defects_of(train)
    for defects, most in ((with_defects, 2 * KEPT_PATCHES), (None, KEPT_PATCHES)):
        held_out = held_out_of(train, banks, defects)
        for kept, one in zip(held_out.kept, held_out.training.normals, strict=True):
            assert KEPT_PATCHES <= len(kept.features) <= most
            d_n = one.evidence.normal.distance.ravel()
            assert set(np.sort(d_n)[-KEPT_PATCHES:]) <= set(kept.distances)
            if defects is not None:
                ratio = d_n / one.evidence.defect.distance.ravel()
                assert d_n[ratio.argmax()] in kept.distances
            whole = embed(read_image(train.folder / kept.name)).reshape(-1, 48)
            for patch, distance in zip(kept.features, kept.distances, strict=True):
                assert distance in d_n[np.flatnonzero((whole == patch).all(axis=1))]


def test_where_all_defects_are_of_one_group_their_bank_stays(train):
    """Leaving the group out would leave nothing."""
    only = next(s for s in train if s.is_defective)
    few = train.where([only, *train.part(label="negative")])
    banks = build_normal_banks(embed, few, SETTINGS, None, silent)
    defects = defects_of(few)
    held_out = held_out_of(few, banks, defects).training
    good = few.part(label="negative").samples
    own = next(i for i, s in enumerate(good) if s.group == only.group)
    expected = gather_evidence(features(few, good[own]), banks.whole, defects.bank)
    np.testing.assert_allclose(
        held_out.normals[own].evidence.defect.distance, expected.defect.distance, rtol=1e-4
    )


def test_no_defects_or_none_with_a_mask_means_no_bank(train, tmp_path):
    good = train.part(label="negative")
    assert defects_of(good) is None
    banks = build_normal_banks(embed, good, SETTINGS, None, silent)
    held_out = held_out_of(good, banks, None).training
    assert all(one.evidence.defect is None for one in held_out.normals)

    prepare("folder", make_folder(tmp_path / "s"), tmp_path / "p", width=64, height=96)
    manifest = Manifest.load(tmp_path / "p").part(split="train")
    without = manifest.where(s for s in manifest if s.kind == "stain")
    assert len(without)
    assert defects_of(without) is None
    bank = defects_of(manifest).bank
    kinds = {s.image: s.kind for s in manifest}
    assert {kinds[name] for name in bank.sources} == {"scratch"}


def test_a_proposed_mask_stands_in_for_an_unknown_one(train):
    first, second, _ = train.part(label="positive").samples
    unknown = replace(first, mask="")
    pseudo_masks = np.zeros((96, 64), bool)
    pseudo_masks[40:48, 20:32] = True
    some = train.where([unknown, second, *train.part(label="negative")])
    guess = {first.image: pseudo_masks}
    bank = build_defect_bank(embed, some, SETTINGS, None, None, guess, silent).bank
    np.testing.assert_array_equal(
        bank.of(first.image), features(train, first)[10:12, 5:8].reshape(-1, 48)
    )
    assert second.image in bank.sources


def named(*groups, first=0, label="negative"):
    return [Sample(f"{i}.png", "", label, "train", group=g) for i, g in enumerate(groups, first)]


@pytest.mark.parametrize("seed", range(4))
def test_folds_keep_groups_whole_and_even(seed):
    samples = named(*(f"g{i % 17}" for i in range(60)))
    fold_of = assign_folds(samples, seed)
    by_group = {}
    for sample in samples:
        by_group.setdefault(sample.group, set()).add(fold_of[sample.image])
    assert all(len(folds) == 1 for folds in by_group.values())
    sizes = np.bincount(list(fold_of.values()))
    assert len(sizes) == 5
    assert np.ptp(sizes) <= 4  # one group's size


def test_defects_are_spread_over_the_folds():
    good, bad = named(*"abcdefgh" * 4), named(*"abcdefgh", first=100, label="positive")
    fold_of = assign_folds(good + bad, 0)
    counts = np.bincount([fold_of[s.image] for s in bad], minlength=5)
    assert np.ptp(counts) <= 1
    of_group = {s.group: fold_of[s.image] for s in good}
    assert all(fold_of[s.image] == of_group[s.group] for s in bad)


@example(good=["a", "b"], bad=list("abccccc"), seed=0)
@given(
    good=st.lists(st.sampled_from("abcdef"), min_size=2, max_size=12),
    bad=st.lists(st.sampled_from("abcdefghij"), max_size=12),
    seed=st.integers(0, 20),
)
def test_every_fold_has_good_images_and_others_do_too(good, bad, seed):
    """Else a fold's normal bank would be empty."""
    normals, defectives = named(*good), named(*bad, first=100, label="positive")
    fold_of = assign_folds(normals + defectives, seed)
    used = {fold_of[s.image] for s in normals}
    assert used == set(range(max(fold_of.values()) + 1))
    assert len(used) == min(5, len(set(good)) if len(set(good)) > 1 else len(good))


def test_folds_are_seeded():
    samples = named(*(f"g{i}" for i in range(30)))
    assert assign_folds(samples, 1) == assign_folds(samples, 1)
    assert assign_folds(samples, 1) != assign_folds(samples, 2)


def test_folds_of_few_groups():
    assert set(assign_folds(named("a", "a", "b"), 0).values()) == {0, 1}
    for groups in (("", "", ""), ("a", "a", "a")):  # no group or but one: each image its own
        assert len(set(assign_folds(named(*groups), 0).values())) == 3
    with pytest.raises(DataError, match=r"one good training image is too few.*at least 2"):
        assign_folds(named("a"), 0)


def test_progress_is_told(train):
    told = []
    build_normal_banks(embed, train, SETTINGS, None, lambda *step: told.append(step))
    stages = {stage for stage, _, _ in told}
    assert len(stages) == 3  # two passes, and the coresets between them
    for stage in stages:
        *_, (_, done, total) = (step for step in told if step[0] == stage)
        assert done == total


@pytest.mark.parametrize("name", ["vectors 0 of", "cells 0 of", "vectors 1 of", "projected"])
def test_kept_work_that_lost_its_end_is_done_again(train, tmp_path, name):
    """Files beside each other may lose different images."""

    def banks():
        kept = FitCheckpoint(tmp_path / "kept", "key")
        return build_normal_banks(embed, train, SETTINGS, None, silent, True, kept)

    first = banks()
    file = tmp_path / "kept" / f"{name} good images"
    file.write_bytes(file.read_bytes()[:-8])
    second = banks()
    for one, other in zip(
        (first.whole, first.sample, *first.without_fold),
        (second.whole, second.sample, *second.without_fold),
        strict=True,
    ):
        np.testing.assert_array_equal(one.vectors, other.vectors)
        np.testing.assert_array_equal(one.cell, other.cell)
