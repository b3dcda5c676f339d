"""Defective images without masks: the likely place is proposed, and helps."""

from dataclasses import replace

import numpy as np

from patchcore_dual.data.reading import read_mask
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.training.pseudo_masks import propose_pseudo_masks
from patchcore_dual.utils.progress import silent


def without_masks(manifest, keep=0):
    seen = 0
    samples = []
    for sample in manifest:
        if sample.is_defective and sample.split == "train":
            seen += 1
            sample = sample if seen <= keep else replace(sample, mask="")
        samples.append(sample)
    return manifest.where(samples)


def test_proposals_hit_the_defects_and_leave_known_masks_alone(prepared):
    detector = PatchCoreDual()
    manifest = without_masks(prepared, keep=1)
    training_set = manifest.part("train")
    banks = detector.normal_banks(training_set, silent)
    pseudo_masks = propose_pseudo_masks(detector.embed, training_set, banks, silent)
    truth = {s.image: s for s in prepared.part("train", "positive")}
    unknown = {s.image for s in training_set if s.is_defective and not s.mask_is_known}
    assert set(pseudo_masks) == unknown
    assert len(unknown) == len(truth) - 1
    hits = [
        (mask & read_mask(prepared.mask_path(truth[name]))).any()
        for name, mask in pseudo_masks.items()
    ]
    assert np.mean(hits) >= 0.5
    assert all(0 < mask.mean() < 0.3 for mask in pseudo_masks.values())


def test_labels_alone_give_a_defect_bank(prepared):
    detector = PatchCoreDual().fit(without_masks(prepared))
    assert detector.model.defect_bank is not None
    assert detector.model.probe is not None
    assert detector.model.trained_on["defective_images_without_mask"] == 3


def test_nothing_is_proposed_where_masks_are_known(prepared):
    detector = PatchCoreDual()
    training_set = prepared.part("train")
    banks = detector.normal_banks(training_set, silent)
    assert propose_pseudo_masks(detector.embed, training_set, banks, silent) == {}
