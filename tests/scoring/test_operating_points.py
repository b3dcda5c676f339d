"""Operating points and choices of a threshold, against plain loops over all values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.scoring.operating_points import (
    RATES,
    Costs,
    HeldOutResults,
    as_values,
    cheapest_point,
    least_cost_text,
    operating_point,
    operating_points,
    table,
    threshold_for_recall,
)
from patchcore_dual.scoring.thresholds import HeldOutScores


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    left_out = [rng.normal(4, 2, 5), rng.normal(2, 1, 15)]
    normals = HeldOutScores(rng.exponential(size=300))
    return HeldOutResults(normals, rng.normal(5, 2, 30), left_out)


def test_a_point_counts_what_lies_above_the_threshold(results):
    points = operating_points(results)
    assert [point.threshold.asked for point in points] == list(RATES)
    for point in points:
        value = point.threshold.value
        assert point.threshold == results.normals.threshold(point.threshold.asked)
        assert point.recall_known == sum(s > value for s in results.known) / 30
        first, second = (sum(s > value for s in scores) for scores in results.left_out)
        assert point.recall_left_out == pytest.approx((first / 5 + second / 15) / 2)
        assert point.rejected_of_1000 == pytest.approx(1000 * point.threshold.expected, abs=0.01)


def test_without_defects_there_is_no_recall():
    (point,) = operating_points(HeldOutResults(HeldOutScores(np.arange(9)), np.empty(0)), [0.1])
    assert point.recall_known is None
    assert point.recall_left_out is None
    assert "–" in table([point])[1]


@given(known=st.lists(st.integers(0, 20), min_size=1, max_size=20), recall=st.floats(0.01, 1.0))
def test_the_highest_threshold_of_a_recall(known, recall):
    results = HeldOutResults(HeldOutScores(np.arange(12.0)), np.array(known, dtype=float))
    threshold = threshold_for_recall(results, recall)
    assert operating_point(results, threshold).recall_known >= recall - 1e-9
    higher = [s for s in range(21) if s > threshold.value]
    for value in higher:  # thresholds at or above the next possible score
        assert np.mean(np.array(known) > value) < recall


def test_the_least_recall_takes_one_defect():
    results = HeldOutResults(HeldOutScores(np.arange(12.0)), np.array([3.0, 8.0, 5.0]))
    assert operating_point(results, threshold_for_recall(results, 1e-12)).recall_known == 1 / 3


@given(
    known=st.lists(st.integers(0, 20), min_size=1, max_size=12),
    miss=st.floats(0.1, 1000),
    share=st.floats(0.001, 0.5),
)
def test_no_other_threshold_costs_less(known, miss, share):
    normals = HeldOutScores(np.arange(0, 12, 0.5))
    results = HeldOutResults(normals, np.array(known, dtype=float))
    costs = Costs(miss, 1.0, share)
    best = costs.expected(cheapest_point(results, costs))
    for value in np.arange(-1, max(11.5, *known, 0) + 0.1, 0.25):
        assert best <= costs.expected(operating_point(results, normals.at(value))) + 1e-9


def test_the_table_fits_a_terminal(results):
    lines = table(operating_points(results), Costs(100, 1, 0.01))
    assert len(lines) == 1 + len(RATES)
    assert max(map(len, lines)) <= 80
    assert "cost" in lines[0]
    own = operating_points(results)[2].threshold.value
    marked = [
        line.startswith(" * ") or line.startswith("* ")
        for line in table(operating_points(results), own=own)
    ]
    assert marked == [False] * 3 + [True] + [False] * 3


def test_no_cost_without_held_out_defects(results):
    costs = Costs(100, 1, 0.01)
    good_only = HeldOutResults(results.normals, np.empty(0))
    assert cheapest_point(good_only, costs) is None
    assert "no held-out defects" in least_cost_text(None, costs, "model")
    assert as_values(operating_points(good_only)[0], costs)["cost"] is None
    assert table(operating_points(good_only), costs)[1].endswith("–")


def test_the_command_that_sets_the_cheapest_threshold(results):
    costs = Costs(250.5, 1, 0.002)
    cheapest = cheapest_point(results, costs)
    text = least_cost_text(cheapest, costs, "line/model")
    assert f"threshold {cheapest.threshold.value:.4g}" in text
    assert text.endswith(
        "patchcore-dual threshold line/model --miss-cost 250.5 --false-alarm-cost 1 "
        "--defect-share 0.002"
    )
