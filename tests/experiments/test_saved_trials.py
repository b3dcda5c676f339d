"""Finished trials on disk: what each one's figures depend on, and damage."""

import json
from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError
from patchcore_dual.experiments import protocols, saved_trials
from patchcore_dual.experiments.protocols import ALL_DEFECTS, PATCHCORE, RATIO
from patchcore_dual.experiments.reproduce import Plan
from patchcore_dual.experiments.saved_trials import SavedTrials
from patchcore_dual.experiments.trials import Trial


@pytest.fixture(scope="module")
def detector():
    return PatchCoreDual()


def digests(manifest, plan):
    """What distinguishes each trial of a plan from the others of its checkpoint."""
    found = []
    for seed in range(plan.seeds):
        split = plan.split(manifest, seed)
        for trial in plan.trials(split, seed):
            found.append(saved_trials._trial_digest(trial, split, seed))
    return found


def test_every_trial_has_a_digest_of_its_own(tiles):
    for target in protocols.PROTOCOLS:
        plan = Plan(target, "group", seeds=2, draws=2)
        found = digests(tiles, plan)
        assert len(set(found)) == len(found)
        assert digests(tiles, plan) == found


@pytest.mark.parametrize("other", [{"generator": "strokes"}, {"target": "table2"}])
def test_another_plan_has_other_trials(tiles, other):
    plan = {"target": "table1", "splits": "group", "seeds": 2, "generator": "poisson"}
    own = digests(tiles, Plan(**plan))
    assert not set(own) & set(digests(tiles, Plan(**{**plan, **other})))


def test_the_number_of_synthetic_images_counts(tiles, monkeypatch):
    plan = Plan("table1", seeds=1)
    own = digests(tiles, plan)
    monkeypatch.setattr(protocols, "TABLE1_SYNTHETIC", 50)
    assert own != digests(tiles, plan)


def test_more_draws_and_seeds_keep_the_trials_of_fewer(tiles):
    fewer = digests(tiles, Plan("few-shot", seeds=1, draws=2))
    assert set(fewer) < set(digests(tiles, Plan("few-shot", seeds=1, draws=3)))
    assert set(fewer) < set(digests(tiles, Plan("few-shot", seeds=2, draws=2)))


@pytest.fixture
def finished(runner, tiles):
    trial = Trial(ALL_DEFECTS, tiles, (PATCHCORE, RATIO), pixels=True)
    return trial, runner.run(trial)


def folders(report):
    return list((report / "trials").iterdir())


def test_evaluations_come_back_as_they_were(tiles, detector, finished, tmp_path):
    trial, evaluations = finished
    saved = SavedTrials(tmp_path, "table1-official", tiles, detector)
    assert saved.read(trial, tiles, 0) is None
    saved.write(trial, tiles, 0, evaluations)
    for again in (saved, SavedTrials(tmp_path, "table1-official", tiles, detector)):
        read = again.read(trial, tiles, 0)
        assert list(read) == list(evaluations)
        for name, evaluation in evaluations.items():
            assert read[name].to_json() == evaluation.to_json()
            weights = np.arange(2.0 * len(evaluation.images)).reshape(2, -1)
            np.testing.assert_array_equal(
                read[name].pixel_auroc_with(weights), evaluation.pixel_auroc_with(weights)
            )
    assert saved.read(trial, tiles, 1) is None
    assert saved.read(replace(trial, pixels=False), tiles, 0) is None


def test_other_data_settings_or_code_is_another_folder(tiles, detector, tmp_path, monkeypatch):
    def open_folder(manifest=tiles, detector=detector, name="table1-official"):
        SavedTrials(tmp_path, name, manifest, detector)
        return len(folders(tmp_path))

    assert open_folder() == open_folder() == 1
    assert open_folder(detector=detector.with_settings(seed=7)) == 1  # a trial's own
    assert open_folder(name="table1-group") == 2
    assert open_folder(manifest=tiles.part("train")) == 3
    assert open_folder(detector=detector.with_settings(normal_rate=0.5)) == 4
    monkeypatch.setattr(saved_trials, "code_sha256", lambda: "other")
    assert open_folder() == 5


def test_a_damaged_file_is_named_and_can_be_removed(tiles, detector, finished, tmp_path):
    trial, evaluations = finished
    SavedTrials(tmp_path, "table1-official", tiles, detector).write(trial, tiles, 0, evaluations)
    (folder,) = folders(tmp_path)
    (path,) = folder.glob("seed*.json")
    whole = path.read_bytes()
    digit = next(i for i, b in enumerate(whole) if b in b"123")
    for damaged in (whole[:99], whole[:digit] + b"4" + whole[digit + 1 :]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"{path} is damaged. Remove it, and its trial is run"):
            SavedTrials(tmp_path, "table1-official", tiles, detector).read(trial, tiles, 0)
    path.unlink()
    saved = SavedTrials(tmp_path, "table1-official", tiles, detector)
    assert saved.read(trial, tiles, 0) is None
    saved.write(trial, tiles, 0, evaluations)
    assert path.read_bytes() == whole
    journal = folder / "journal.jsonl"
    assert json.loads(journal.read_text().splitlines()[-1])["file"] == path.name
    journal.write_bytes(b"{damaged\n")
    with pytest.raises(DataError, match=rf"line 1: damaged. Remove {folder}, and its trials"):
        SavedTrials(tmp_path, "table1-official", tiles, detector)
