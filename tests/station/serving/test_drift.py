"""Drift: found where all scores rise, and not where there are defects or few training images."""

import numpy as np
import pytest

from patchcore_dual.station.serving.drift import PARTS, ScoreDrift


def status_of(good, parts):
    drift = ScoreDrift(good)
    for score in parts:
        drift.add(float(score))
    return drift.state()["status"]


@pytest.mark.parametrize("n_good", [20, 30, 300])
def test_defects_and_small_samples_are_no_drift(n_good):
    drifting = 0
    for seed in range(500):
        rng = np.random.default_rng(seed)
        good, parts = rng.normal(size=n_good), rng.normal(size=PARTS)
        parts[rng.random(PARTS) < 0.1] += 10
        drifting += status_of(good, parts) == "drifting"
    assert drifting <= 5


@pytest.mark.parametrize("n_good", [30, 300])
def test_risen_scores_are(n_good):
    rng = np.random.default_rng(0)
    good = rng.normal(size=n_good)
    assert status_of(good, rng.normal(size=PARTS)) == "stable"
    assert status_of(good, rng.normal(2.0, size=PARTS)) == "drifting"


def test_only_the_latest_parts_count():
    good = np.linspace(0, 1, 100)
    assert status_of(good, [*[9.0] * PARTS, *[0.2] * PARTS]) == "stable"


def test_with_too_few_images_it_is_not_measured():
    assert status_of(np.zeros(10), np.ones(PARTS)) == "not measured"
    assert status_of(np.zeros(100), np.ones(49)) == "not measured"
