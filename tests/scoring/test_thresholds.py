"""Promised and expected false-alarm rates, against plain loops and over every new image."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchcore_dual.scoring import (
    Evidence,
    HeldOutImage,
    HeldOutScores,
    Nearest,
    RuleOutput,
    anomaly_map,
    calibrate_thresholds,
)
from patchcore_dual.scoring.tail import Scale
from patchcore_dual.scoring.thresholds import groups_for

RATES = [0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.9]


def quantile_by_loops(scores, groups, rate):
    """The group-weighted conformal quantile; None where the groups are too few."""
    names = set(groups)
    for value in sorted(scores):
        above = 1 / (len(names) + 1)
        for name in names:
            members = [s for s, g in zip(scores, groups, strict=True) if g == name]
            above += sum(s > value for s in members) / len(members) / (len(names) + 1)
        if above <= rate + 1e-9:
            return value
    return None


def promise_by_loops(scores, groups, value):
    total = 1.0
    for name in set(groups):
        members = [s for s, g in zip(scores, groups, strict=True) if g == name]
        total += sum(s >= value for s in members) / len(members)
    return min(1.0, total / (len(set(groups)) + 1))


@st.composite
def grouped_scores(draw):
    n = draw(st.integers(2, 40))
    scores = draw(st.lists(st.integers(0, 30), min_size=n, max_size=n))
    groups = draw(st.lists(st.sampled_from("abcdefghijkl"), min_size=n, max_size=n))
    return np.array(scores, dtype=float), groups


@st.composite
def clustered_scores(draw):
    """Few groups of many images, or many of few, with ties and odd images, or none but ties."""
    groups = draw(st.lists(st.integers(1, 30), min_size=1, max_size=25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shift = draw(st.sampled_from([0, 1, 10]))
    rounding = draw(st.sampled_from([0, 1, 6]))
    names = np.repeat(np.arange(len(groups)), groups)
    scores = rng.exponential(size=len(names)) + shift * rng.normal(size=len(groups))[names]
    return scores.round(rounding), names.astype(str)


@given(grouped_scores(), st.sampled_from(RATES))
def test_quantile_and_promise_by_loops(case, rate):
    scores, groups = case
    threshold = HeldOutScores(scores, groups).threshold(rate)
    quantile = quantile_by_loops(scores, groups, rate)
    if len(set(groups)) >= groups_for(rate):
        assert threshold.value == quantile
        assert threshold.promised == rate
        above = sum(s > quantile for s in scores)
        assert threshold.expected == pytest.approx((above + 1) / (len(scores) + 1))
    else:
        least = 2 / (len(set(groups)) + 1)
        assert threshold.value >= quantile_by_loops(scores, groups, least)
        promised = promise_by_loops(scores, groups, threshold.value)
        assert threshold.promised == pytest.approx(min(promised, least))
    assert (threshold.images, threshold.groups) == (len(scores), len(set(groups)))


def test_199_images_are_enough_for_one_percent():
    scores = np.random.default_rng(0).permutation(199)
    threshold = HeldOutScores(scores).threshold(0.01)
    assert (threshold.value, threshold.promised, threshold.images) == (197, 0.01, 199)
    assert threshold.shortfall == ""


def test_198_leave_it_to_the_tail():
    """The conformal quantile would be the largest score alone."""
    scores = np.random.default_rng(0).exponential(size=198)
    threshold = HeldOutScores(scores).threshold(0.01)
    scale = Scale.of(list(scores[:, None]))
    x = math.log(0.5 / 0.01)
    tail = scale.spread * (math.expm1(scale.shape * x) / scale.shape if scale.shape else x)
    assert threshold.value == pytest.approx(scale.location + tail)
    assert threshold.expected == pytest.approx(0.01)
    assert threshold.promised >= 1 / 199
    assert "estimated, not promised: that takes 199 groups" in threshold.shortfall


def test_one_odd_image_moves_the_threshold_little():
    scores = np.random.default_rng(0).exponential(size=100)
    odd = np.append(scores[1:], 60.0)
    before, after = (HeldOutScores(s).threshold(0.01).value for s in (scores, odd))
    assert after < 3 * before < 60


def test_ranks_by_example():
    def value(scores, rate):
        return HeldOutScores(np.asarray(scores)).threshold(rate).value

    assert value(range(1, 200), 0.01) == 198
    assert value(range(1, 100), 0.1) == 90
    assert value(range(1, 20), 0.1) == 18  # (19 + 1) · 0.9, not one above
    assert value([3.0], 0.4) == pytest.approx(3, abs=1e-4)


@pytest.mark.parametrize("images", [1, 50])
def test_seven_groups_cannot_promise_one_percent(images):
    """However many images they have."""
    scores = np.random.default_rng(0).exponential(size=7 * images)
    threshold = HeldOutScores(scores, np.repeat(list("abcdefg"), images)).threshold(0.01)
    assert threshold.promised >= 1 / 8
    assert threshold.expected == pytest.approx(0.01, rel=0.5)
    assert "7 groups of good parts allow no less than 12.5 %" in str(threshold)
    assert "1.0 % cannot be promised" in threshold.shortfall


@given(clustered_scores(), st.floats(-1, 40))
def test_no_threshold_asks_for_groups_that_are_there(case, value):
    threshold = HeldOutScores(*case).at(value)
    if threshold.asked and threshold.groups >= groups_for(threshold.asked):
        assert "that takes" not in threshold.shortfall
        assert "cannot be promised" not in threshold.shortfall


def test_a_value_among_uneven_groups_is_estimated_and_no_more():
    """One large group decides the expected rate, and many small ones the promised one."""
    scores = np.append(np.arange(30.0), np.full(9, 50.0))
    groups = list("a" * 30 + "bcdefghij")
    threshold = HeldOutScores(scores, groups).at(25.5)
    assert threshold.expected < threshold.promised
    assert threshold.shortfall == "35.0 % is estimated, not promised."


@given(
    scores=st.lists(st.integers(0, 15), min_size=3, max_size=60),
    rate=st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.5, 0.9]),
)
def test_the_promise_holds_over_leaving_each_one_out(scores, rate):
    """Of n + 1 exchangeable images any is equally likely to be the new one, so the chance of a
    false alarm is the share of them that the other n would reject."""
    scores = np.array(scores, dtype=float)
    if rate * len(scores) < 2:
        return  # the tail decides then, and promises nothing beforehand
    alarms = 0
    for i, new in enumerate(scores):
        threshold = HeldOutScores(np.delete(scores, i)).threshold(rate)
        assert threshold.promised == rate
        alarms += new > threshold.value
    assert alarms / len(scores) <= rate + 1e-12


@given(
    scores=st.lists(st.integers(0, 15), min_size=12, max_size=48),
    rate=st.sampled_from([0.3, 0.5, 0.75]),
)
def test_the_promise_holds_between_groups(scores, rate):
    """A new image of a group that is left out, weighing each group alike."""
    scores = np.array(scores, dtype=float)
    groups = np.array([i * i % 7 * 2 + i % 2 for i in range(len(scores))])
    names = np.unique(groups)
    alarms, promised = [], []
    for name in names:
        rest = groups != name
        threshold = HeldOutScores(scores[rest], groups[rest]).threshold(rate)
        promised.append(threshold.promised)
        alarms.append((scores[~rest] > threshold.value).mean())
    if max(promised) == rate:
        assert np.mean(alarms) <= rate + 1e-12


@given(n=st.integers(3, 400), rate=st.sampled_from([0.02, 0.05, 0.1, 0.25, 1 / 3, 0.5]))
def test_no_stricter_than_it_must_be(n, rate):
    """With distinct scores exactly ⌊α(n + 1)⌋ of n + 1 may be rejected, and are."""
    if rate * (n + 1) < 2:
        return
    everyone = np.arange(n + 1)
    alarms = sum(
        new > HeldOutScores(everyone[everyone != new]).threshold(rate).value
        for new in everyone[-max(1, math.ceil(rate * (n + 1)) + 1) :]
    )
    assert alarms == math.floor(rate * (n + 1) + 1e-9)


@settings(max_examples=300)
@given(clustered_scores(), st.lists(st.floats(0.0005, 0.99), min_size=1, max_size=8))
def test_who_allows_fewer_false_alarms_never_gets_a_lower_threshold(case, rates):
    held_out = HeldOutScores(*case)
    found = [held_out.threshold(rate) for rate in sorted({*RATES, *rates})]
    for stricter, laxer in itertools.pairwise(found):
        assert stricter.value >= laxer.value - 1e-9
        assert stricter.expected <= laxer.expected + 1e-12
        assert stricter.promised <= laxer.promised + 1e-12


@given(clustered_scores(), st.sampled_from(RATES))
def test_enough_groups_promise_the_rate(case, rate):
    threshold = HeldOutScores(*case).threshold(rate)
    if threshold.groups >= groups_for(rate):
        assert threshold.promised <= rate
        assert threshold.shortfall == ""


@given(grouped_scores(), st.lists(st.floats(-5, 60), min_size=2, max_size=8))
def test_both_rates_fall_with_the_value(case, values):
    held_out = HeldOutScores(*case)
    found = [held_out.at(value) for value in sorted(values)]
    for lower, higher in itertools.pairwise(found):
        assert lower.promised >= higher.promised
        assert lower.expected >= higher.expected


@given(grouped_scores(), st.sampled_from([0.01, 0.05, 0.2, 0.4]), st.floats(0.01, 0.5))
def test_review_lies_below_rejection(case, rate, review_rate):
    scores, groups = case
    evidence = Evidence(Nearest(np.zeros((2, 2), np.float32), np.zeros((2, 2), int)))
    images = [HeldOutImage(evidence, fold=0, width=16, height=16) for _ in scores]
    outputs = [(score, np.full((2, 2), score, np.float32)) for score in scores]
    both = {"sigma": 2, "false_alarm_rate": rate, "groups": groups}
    thresholds = calibrate_thresholds(outputs, images, **both, review_rate=review_rate)
    assert thresholds.review.value <= thresholds.image.value
    assert thresholds.review_share >= 0
    by_default = calibrate_thresholds(outputs, images, **both).review
    five = HeldOutScores(scores, groups).threshold(min(0.5, 5 * rate))
    assert by_default.value == min(five.value, thresholds.image.value)


def test_pixel_threshold_and_floor_come_from_the_maps():
    """The pixel threshold is that of the maps' maxima, the floor a median."""
    grids = np.random.default_rng(0).random((9, 3, 4)).astype(np.float32)
    outputs = [RuleOutput(float(10 + i), grid) for i, grid in enumerate(grids)]
    evidence = Evidence(Nearest(grids[0], np.zeros((3, 4), int)))
    images = [HeldOutImage(evidence, fold=0, width=32, height=24) for _ in grids]
    thresholds = calibrate_thresholds(outputs, images, sigma=2, false_alarm_rate=0.2)
    assert thresholds.image == HeldOutScores(np.arange(10, 19)).threshold(0.2)
    maps = [anomaly_map(grid, 24, 32, 2) for grid in grids]
    assert thresholds.pixel == sorted(heat.max() for heat in maps)[7]
    assert thresholds.map_floor == np.median([np.median(heat) for heat in maps])
