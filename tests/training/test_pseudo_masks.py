"""Defective images without masks: the likely place is proposed, and helps."""

from dataclasses import replace

import numpy as np

from patchcore_dual.data.reading import read_mask
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.training.context import fit_context
from patchcore_dual.training.normal_banks import build_normal_banks
from patchcore_dual.training.pseudo_masks import propose_pseudo_masks


def without_masks(manifest, keep=0):
    seen = 0
    samples = []
    for sample in manifest:
        if sample.is_defective and sample.split == "train":
            seen += 1
            sample = sample if seen <= keep else replace(sample, mask="")
        samples.append(sample)
    return manifest.where(samples)


def proposed(training_set):
    detector = PatchCoreDual(resolutions=(1,))  # more cells in images as small as these
    with fit_context(training_set, detector.embedder, detector.settings) as context:
        banks = build_normal_banks(context, training_set)
        return propose_pseudo_masks(context, training_set, banks)


def test_proposals_hit_the_defects_and_leave_known_masks_alone(prepared):
    training_set = without_masks(prepared, keep=1).part("train")
    pseudo_masks = proposed(training_set)
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
    assert proposed(prepared.part("train")) == {}
