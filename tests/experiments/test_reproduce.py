"""What the file of a finished trial is named after: everything that its figures depend on."""

import pytest

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.experiments import protocols
from patchcore_dual.experiments.reproduce import Plan, _path


@pytest.fixture(scope="module")
def detector():
    return PatchCoreDual()


def files(tmp_path, manifest, detector, plan):
    found = []
    for seed in range(plan.seeds):
        split = plan.split(manifest, seed)
        seeded = detector.with_settings(seed=seed)
        for trial in plan.trials(split, seed):
            found.append(_path(tmp_path, plan, seed, trial, split, seeded))
    return found


def test_every_trial_has_a_file_of_its_own(tiles, detector, tmp_path):
    for target in protocols.PROTOCOLS:
        plan = Plan(target, "group", seeds=2, draws=2)
        found = files(tmp_path, tiles, detector, plan)
        assert len(set(found)) == len(found)
        assert files(tmp_path, tiles, detector, plan) == found


@pytest.mark.parametrize(
    "other",
    [
        {"splits": "official"},
        {"generator": "strokes"},
        {"target": "table2"},
    ],
)
def test_another_plan_has_other_files(tiles, detector, tmp_path, other):
    plan = {"target": "table1", "splits": "group", "seeds": 2, "generator": "poisson"}
    own = files(tmp_path, tiles, detector, Plan(**plan))
    assert not set(own) & set(files(tmp_path, tiles, detector, Plan(**{**plan, **other})))


def test_the_number_of_synthetic_images_counts(tiles, detector, tmp_path, monkeypatch):
    plan = Plan("table1", seeds=1)
    own = files(tmp_path, tiles, detector, plan)
    monkeypatch.setattr(protocols, "TABLE1_SYNTHETIC", 50)
    assert own != files(tmp_path, tiles, detector, plan)


def test_more_draws_leave_the_files_of_the_first(tiles, detector, tmp_path):
    fewer = files(tmp_path, tiles, detector, Plan("few-shot", seeds=1, draws=2))
    more = files(tmp_path, tiles, detector, Plan("few-shot", seeds=1, draws=3))
    assert set(fewer) < set(more)
