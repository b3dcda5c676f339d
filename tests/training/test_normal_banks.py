"""The normal banks, with a made-up embedding, against one direct pass."""

import numpy as np
import pytest

from patchcore_dual.banks import coreset_size, projection_matrix
from patchcore_dual.banks.coreset.greedy import select_coreset
from patchcore_dual.settings import Settings
from patchcore_dual.training.normal_banks import build_normal_banks
from training.made_up import (
    MadeUpEmbedder,
    context_of,
    defect_bank,
    features,
    normal_banks,
    wide,
)


@pytest.fixture
def train(prepared):
    return prepared.part(split="train")


SETTINGS = Settings(normal_rate=0.3, defect_rate=0.5, seed=3)


def one_pass(vectors, rate, seed):
    """The sorted choice of a coreset of full vectors that lie in memory."""
    projected = vectors @ projection_matrix(vectors.shape[1], seed)
    return select_coreset(projected, coreset_size(len(vectors), rate), seed).rows


def test_the_normal_bank_is_that_of_one_pass(train):
    bank = normal_banks(train, SETTINGS, wide).whole
    good = train.part(label="negative").samples
    everything = np.concatenate([features(train, s, wide).reshape(-1, 192) for s in good])
    chosen = one_pass(everything, 0.3, 3)
    assert 500 < len(chosen) < len(everything)
    np.testing.assert_allclose(bank.vectors, everything[chosen], rtol=1e-6)
    per_image = 24 * 16
    assert [bank.sources[i] for i in bank.image] == [good[c // per_image].image for c in chosen]
    np.testing.assert_array_equal(bank.cell, np.stack(np.divmod(chosen % per_image, 16), axis=1))


def test_banks_without_a_fold_are_those_of_one_pass(train):
    banks = normal_banks(train, SETTINGS)
    assert len(banks.without_fold) == 3  # as many as there are commutators
    for fold, bank in enumerate(banks.without_fold):
        others = [s for s in train.part(label="negative") if banks.fold_of[s.image] != fold]
        vectors = np.concatenate([features(train, s).reshape(-1, 48) for s in others])
        np.testing.assert_array_equal(bank.vectors, vectors[one_pass(vectors, 0.3, 3)])
        assert set(bank.sources) == {s.image for s in others}


def test_the_banks_without_a_fold_can_be_done_without(train):
    alone = normal_banks(train, SETTINGS, with_folds=False)
    assert len(alone.without_fold) == 0
    whole = normal_banks(train, SETTINGS).whole
    np.testing.assert_array_equal(alone.whole.vectors, whole.vectors)


def test_each_vector_is_the_feature_of_its_image_and_cell(train):
    normal = normal_banks(train, SETTINGS)
    defect = defect_bank(train, SETTINGS).bank
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
        return normal_banks(train, settings, wide).whole.vectors

    assert np.array_equal(vectors(0), vectors(0))
    assert not np.array_equal(vectors(0), vectors(1))


def test_each_image_is_embedded_once_and_the_features_leave_no_files(train, tmp_path):
    embedder = MadeUpEmbedder()
    with context_of(train, SETTINGS, embedder, folder=tmp_path / "work") as context:
        build_normal_banks(context, train)
        kept = list((tmp_path / "work" / "features").iterdir())
    assert len(embedder.seen) == len(set(embedder.seen)) == len(kept) == 6
    assert not (tmp_path / "work" / "features").exists()


def test_without_room_for_features_images_are_embedded_twice(train, monkeypatch):
    """Once to select by projections, once for the selected vectors."""
    monkeypatch.setattr("patchcore_dual.training.context.CACHED_BYTES", 0)
    embedder = MadeUpEmbedder()
    with context_of(train, SETTINGS, embedder) as context:
        banks = build_normal_banks(context, train)
    assert len(embedder.seen) == 2 * len(set(embedder.seen)) == 12
    np.testing.assert_array_equal(banks.whole.vectors, normal_banks(train, SETTINGS).whole.vectors)


def test_progress_reaches_the_end_of_each_stage(train):
    steps = []
    normal_banks(train, SETTINGS, progress=lambda *step: steps.append(step))
    stages = {stage for stage, _, _ in steps}
    assert len(stages) == 3  # two passes, and the coresets between them
    for stage in stages:
        *_, (_, done, total) = (step for step in steps if step[0] == stage)
        assert done == total


@pytest.mark.parametrize("name", ["vectors 0 of", "cells 0 of", "vectors 1 of", "projected"])
def test_a_checkpoint_that_lost_its_end_is_completed(train, tmp_path, name):
    """Files beside each other may lose different images."""

    def banks():
        with context_of(train, SETTINGS, folder=tmp_path / "kept") as context:
            return build_normal_banks(context, train), context.checkpoint.resumes

    first, resumed = banks()
    assert not resumed
    file = tmp_path / "kept" / f"{name} normal images"
    file.write_bytes(file.read_bytes()[:-8])
    second, resumed = banks()
    assert resumed
    for one, other in zip(
        (first.whole, first.sample, *first.without_fold),
        (second.whole, second.sample, *second.without_fold),
        strict=True,
    ):
        np.testing.assert_array_equal(one.vectors, other.vectors)
        np.testing.assert_array_equal(one.cell, other.cell)


def test_a_checkpoint_of_other_images_or_settings_is_discarded(train, tmp_path):
    def resumes(manifest, settings):
        with context_of(manifest, settings, folder=tmp_path / "kept") as context:
            build_normal_banks(context, manifest)
            return context.checkpoint.resumes

    assert [resumes(train, SETTINGS) for _ in range(2)] == [False, True]
    other = Settings(normal_rate=0.3, defect_rate=0.5, seed=4)
    assert [resumes(train, other) for _ in range(2)] == [False, True]
    fewer = train.where(train.samples[:-1])
    assert [resumes(fewer, other) for _ in range(2)] == [False, True]
