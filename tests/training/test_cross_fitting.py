"""A synthetic image goes wherever one of its parents goes, and is never scored itself."""

from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image, read_mask, write_png
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.training.cross_fitting import cross_fit
from patchcore_dual.utils.progress import silent


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
    return tool.normal_banks(augmented)


def held_out_by(tool, manifest, banks):
    from patchcore_dual.training.banks import build_defect_bank

    size = (64, 96)
    defects = build_defect_bank(tool.embed, manifest, tool.settings, size, None, {}, silent)
    return cross_fit(tool.embed, manifest, banks, defects, {}, True, 0.01, silent), defects


def test_folds_and_normal_banks_know_nothing_of_synthetic_images(tool, augmented, banks):
    plain = tool.normal_banks(augmented.real())
    assert banks.fold_of == plain.fold_of
    np.testing.assert_array_equal(banks.whole.vectors, plain.whole.vectors)


def test_what_is_kept_of_real_defects_does_not_depend_on_synthetic_ones(tool, augmented, banks):
    _, defects = held_out_by(tool, augmented, banks)
    _, alone = held_out_by(tool, augmented.real(), banks)
    real = defects.bank.without({s.image for s in augmented.synthetic()})
    np.testing.assert_array_equal(real.vectors, alone.bank.vectors)
    assert len(defects.bank) > len(real)


def test_synthetic_images_are_never_scored(tool, augmented, banks):
    held_out, _ = held_out_by(tool, augmented, banks)
    assert len(held_out.training.normals) == len(augmented.part(label="negative"))
    assert len(held_out.training.defectives) == len(augmented.real().part(label="positive"))
    assert {one.name for one in held_out.kept} == {
        s.image for s in augmented.part(label="negative")
    }


def test_held_out_images_meet_no_synthetic_image_made_from_their_group_or_fold(
    tool, augmented, banks
):
    held_out, defects = held_out_by(tool, augmented, banks)
    by_image = {s.image: s for s in augmented}
    samples = [s for s in augmented.real() if not s.is_defective]
    for sample, one in zip(samples, held_out.training.normals, strict=True):
        own = {s.image for s in augmented.real() if s.group == sample.group}
        _check(tool, augmented, defects.bank, sample, one.evidence, own, by_image)
    samples = [s for s in augmented.real() if s.is_defective]
    for sample, one in zip(samples, held_out.training.defectives, strict=True):
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
    model = tool.with_settings().fit(alone).model
    assert {s.image for s in augmented.synthetic()} == set(model.defect_bank.sources)
    assert model.trained_on["defective_images"] == 0
    assert model.trained_on["synthetic_images"] == {"pasted": 6}
    assert sum(model.rule.weights) == pytest.approx(1)
