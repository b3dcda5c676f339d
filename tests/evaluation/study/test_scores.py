"""Repeated scores and the grey zone."""

import math

import numpy as np
import pytest

from patchcore_dual.evaluation.study.scores import grey_zone, score_figures


def test_the_deviation_is_pooled_over_parts():
    generator = np.random.default_rng(0)
    parts = generator.normal(0, 10, (400, 1))
    scores = parts + generator.normal(0, 0.5, (400, 3))
    figures = score_figures(scores, (scores > 0).astype(int), (0.0,))
    assert figures.repeatability == pytest.approx(np.sqrt(scores.var(1, ddof=1).mean()))
    assert figures.low < 0.5 < figures.high
    assert figures.n_near == (np.abs(scores.mean(1)) <= 3 * figures.repeatability).sum()


def test_the_interval_of_the_deviation_holds_it_95_times_in_100():
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        scores = generator.normal(0, 2, (20, 3))
        figures = score_figures(scores, (scores > 0).astype(int), (0.0,))
        held += figures.low <= 2 <= figures.high
    assert 0.92 <= held / 400 <= 0.98


def test_the_zone_lies_between_always_accepted_and_always_rejected():
    values = np.array([5.0, 1.0, 2.0, 3.0, 4.0])
    verdicts = np.array([[1, 1], [0, 0], [0, 1], [0, 0], [1, 1]])
    zone = grey_zone(values, (verdicts == 0).all(1), (verdicts == 1).all(1))
    assert zone == (1.0, 4.0)  # not 3, which is accepted, above 2, which is not always


def test_a_zone_without_an_end_is_not_made_up():
    none, every = np.zeros(3, bool), np.ones(3, bool)
    low, high = grey_zone(np.arange(3.0), none, every)
    assert math.isnan(low)
    assert high == 0


def test_parts_that_were_not_inspected_are_left_out():
    scores = np.array([[1.0, 1.2], [np.nan, 9.0], [1.9, 2.1], [3.0, 3.0]])
    verdicts = np.array([[0, 0], [1, 1], [0, 1], [1, 1]])
    all_parts, others = (
        score_figures(scores[rows], verdicts[rows], (2.0,)) for rows in ([0, 1, 2, 3], [0, 2, 3])
    )
    for name in ("repeatability", "low", "high", "zone", "n_near"):
        assert getattr(all_parts, name) == getattr(others, name)
    assert math.isnan(score_figures(scores[1:2], verdicts[1:2], (2.0,)).repeatability)


def test_spread_is_in_units_of_the_distance_to_the_nearest_limit():
    scores = np.array([[1.0, 1.2], [2.4, 2.6], [3.9, 3.9]])
    figures = score_figures(scores, np.array([[0, 0], [2, 2], [1, 1]]), (3.0, 2.0))
    assert figures.limits == (2.0, 3.0)
    assert figures.distance == pytest.approx([0.9, 0.5, 0.9])
    assert figures.relative_spread == pytest.approx([0.2 / 0.9, 0.4, 0.0])
