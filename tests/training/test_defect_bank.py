"""The defect bank, with a made-up embedding, against one direct pass."""

from dataclasses import replace

import numpy as np
import pytest

from lookalikes import make_folder
from patchcore_dual.banks import coreset_size, projection_matrix
from patchcore_dual.banks.coreset.greedy import select_coreset
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.features.defect_patches import defect_patches
from patchcore_dual.settings import Settings
from training.made_up import calibration_of, defect_bank, embed, features, normal_banks


@pytest.fixture
def train(prepared):
    return prepared.part(split="train")


SETTINGS = Settings(normal_rate=0.3, defect_rate=0.5, seed=3)


def one_pass(vectors, rate, seed):
    """The sorted choice of a coreset of full vectors that lie in memory."""
    projected = vectors @ projection_matrix(vectors.shape[1], seed)
    return select_coreset(projected, coreset_size(len(vectors), rate), seed).rows


@pytest.mark.parametrize("choice", ["mask", "box", "crop"])
def test_the_defect_bank_is_that_of_one_pass(train, choice):
    settings = Settings(patches=choice, defect_rate=0.5, seed=3)
    bank = defect_bank(train, settings).bank
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


def test_no_defects_or_none_with_a_mask_means_no_bank(train, tmp_path):
    good = train.part(label="negative")
    assert defect_bank(good, SETTINGS) is None
    banks = normal_banks(good, SETTINGS)
    held_out = calibration_of(good, SETTINGS, banks, None, "patchcore").evidence
    assert all(one.evidence.defect is None for one in held_out.normals)

    prepare("folder", make_folder(tmp_path / "s"), tmp_path / "p", width=64, height=96)
    manifest = Manifest.load(tmp_path / "p").part(split="train")
    without = manifest.where(s for s in manifest if s.kind == "stain")
    assert len(without)
    assert defect_bank(without, SETTINGS) is None
    bank = defect_bank(manifest, SETTINGS).bank
    kinds = {s.image: s.kind for s in manifest}
    assert {kinds[name] for name in bank.sources} == {"scratch"}


def test_a_proposed_mask_stands_in_for_an_unknown_one(train):
    first, second, _ = train.part(label="positive").samples
    unknown = replace(first, mask="")
    pseudo_masks = np.zeros((96, 64), bool)
    pseudo_masks[40:48, 20:32] = True
    some = train.where([unknown, second, *train.part(label="negative")])
    guess = {first.image: pseudo_masks}
    bank = defect_bank(some, SETTINGS, guess).bank
    np.testing.assert_array_equal(
        bank.of(first.image), features(train, first)[10:12, 5:8].reshape(-1, 48)
    )
    assert second.image in bank.sources
