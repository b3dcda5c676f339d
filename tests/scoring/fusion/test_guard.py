"""The guard on channel maxima constructed by hand."""

import numpy as np
import pytest

from patchcore_dual.scoring.fusion.guard import (
    ChannelMaxima,
    LeftOutCluster,
    choose_discount,
    mean_recall,
)


def test_mean_recall_is_recall_averaged_over_false_alarm_rates():
    rng = np.random.default_rng(0)
    normals, defectives = rng.standard_normal(200), rng.standard_normal(50) + 2
    rates = np.linspace(0, 0.1, 20_001)[1:]
    for value, score in zip(mean_recall(defectives, normals), defectives, strict=True):
        reached = (normals >= score).mean()
        assert value == pytest.approx((reached < rates).mean(), abs=1e-3)


def test_the_guard_needs_something_to_leave_out():
    one = ChannelMaxima(np.zeros(3), np.zeros(3))
    assert choose_discount(one, one, []) is None


def test_a_safe_discount_costs_unseen_kinds_nothing_beyond_tolerance():
    rng = np.random.default_rng(0)
    normals = ChannelMaxima(rng.exponential(size=300), rng.exponential(size=300) * 4)
    defects = ChannelMaxima(rng.exponential(size=60) + 3, rng.exponential(size=60))
    report = choose_discount(normals, defects, [LeftOutCluster(normals, defects)])
    assert report is not None
    assert report.discount > 0
    assert report.unseen_undiscounted < report.unseen
