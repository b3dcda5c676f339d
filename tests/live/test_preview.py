"""The preview: what is compared, what is refused, and how it is said."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.live import Lesson
from patchcore_dual.live.held_out import held_out_results, recall, recall_left_out
from patchcore_dual.live.preview import Change


@pytest.fixture(scope="module")
def detector(saved, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preview") / "dual"
    shutil.copytree(saved / "dual", folder)
    return PatchCoreDual.load(folder, device="cpu")


@pytest.fixture(scope="module")
def outcome(detector, new_images, prepared):
    inspected = [prepared.image_path(s) for s in prepared.part("test")]
    return detector.teach(
        Lesson(new_images.defect, True, new_images.mask),
        inspected=[*inspected, new_images.defect, new_images.good.parent / "gone.png"],
        dry_run=True,
    )


def test_it_counts_what_can_be_looked_at(outcome, prepared):
    shown = outcome.preview
    assert shown.n_inspected == len(
        prepared.part("test")
    )  # not the taught one, nor one that is gone
    assert all(change.before != change.after for change in (*shown.inspected, *shown.calibration))
    json.dumps(shown.to_json())


def test_recall_is_that_of_the_defects_of_both_models(outcome, detector):
    before, after = outcome.teaching.before, outcome.teaching.after
    names = set(before.calibration.defectives)
    results = held_out_results(before), held_out_results(after)
    assert len(results[1]) == len(results[0]) + 1
    known = [name for name in results[0] if name in names]
    assert outcome.preview.recall_known == tuple(recall(one, known) for one in results)
    assert recall({}, []) is None


def test_left_out_kinds_are_compared_only_where_they_are_the_same(saved, tmp_path):
    shutil.copytree(saved / "calibrated-good", tmp_path / "model")
    detector = PatchCoreDual.load(tmp_path / "model", device="cpu")
    mask = np.zeros((96, 64), bool)
    mask[:20, :20] = True
    for kind, seed in (("crack", 0), ("hole", 1)):
        image = np.random.default_rng(seed).integers(0, 255, (96, 64, 3), np.uint8)
        detector.teach(Lesson(image, True, mask, kind=kind), force=True)
    model, calibration = detector.model, detector.model.calibration
    before, after = recall_left_out(model, model)
    assert before == after
    assert 0 <= before <= 1
    first, second = calibration.evidence.defectives
    (cluster,), (evidence,) = first.unseen, second.unseen.values()
    together = (first, replace(second, unseen={cluster: evidence}))
    moved = replace(calibration, evidence=replace(calibration.evidence, defectives=together))
    other = replace(model, read_calibration=lambda: moved)
    assert recall_left_out(model, other) == (None, None)


def test_what_is_refused(outcome):
    shown = replace(outcome.preview, recall_known=(0.9, 0.9), recall_left_out=(None, None))
    assert shown.refusals == ()
    assert replace(shown, recall_known=(0.9, 0.88)).refusals == ()
    (reason,) = replace(shown, recall_known=(0.9, 0.87)).refusals
    assert reason == "Recall on known defects would fall from 0.90 to 0.87, by more than 0.02."
    assert replace(shown, recall_known=(0.9, 0.87), max_loss=0.1).refusals == ()
    worse = replace(shown.after.threshold, promised=shown.before.threshold.promised + 0.1)
    (reason,) = replace(shown, after=replace(shown.after, threshold=worse)).refusals
    assert reason.startswith("The promised false-alarm rate would rise")


def test_how_it_is_said(outcome):
    change = Change("a.png", False, "pass", "reject", 0.5, 2.25)
    assert str(change) == "a.png: pass → reject, score 0.5 → 2.25"
    shown = replace(outcome.preview, calibration=(change,) * 12, inspected=(), n_inspected=3)
    text = str(shown)
    assert "Verdicts that change on calibration images, held out: 12" in text
    assert "  … and 2 more" in text
    assert "No verdict changes on the last 3 inspected images." in text
    assert "defect." in text
    assert "No verdict changes on calibration images, held out." in str(
        replace(shown, calibration=())
    )
