"""The guaranteed false-alarm rate, counted over every rank that the new image may have."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.scoring import (
    Evidence,
    HeldOutImage,
    Nearest,
    RuleOutput,
    anomaly_map,
    calibrate_thresholds,
    conformal_threshold,
)


def test_99_images_are_enough_for_one_percent():
    scores = np.random.default_rng(0).permutation(99)
    threshold = conformal_threshold(scores, 0.01)
    assert (threshold.value, threshold.false_alarm_rate, threshold.images) == (98, 0.01, 99)


def test_98_are_not():
    threshold = conformal_threshold(np.arange(98), 0.01)
    assert (threshold.value, threshold.false_alarm_rate) == (97, 1 / 99)


def test_ranks_by_example():
    assert conformal_threshold(np.arange(1, 200), 0.01).value == 198
    assert conformal_threshold(np.arange(1, 100), 0.1).value == 90
    assert conformal_threshold(np.arange(1, 20), 0.1).value == 18  # (19 + 1) · 0.9, not one above
    assert conformal_threshold(np.array([3.0]), 0.5).value == 3
    assert conformal_threshold(np.array([3.0]), 0.4).false_alarm_rate == 0.5


@given(
    scores=st.lists(st.integers(0, 15), min_size=2, max_size=60),
    rate=st.sampled_from([0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.9]),
)
def test_the_guarantee_holds_over_leaving_each_one_out(scores, rate):
    """Of n + 1 exchangeable images any is equally likely to be the new one, so the chance of a
    false alarm is the share of them that the other n would reject."""
    scores = np.array(scores, dtype=float)
    alarms, guaranteed = 0, None
    for i, new in enumerate(scores):
        threshold = conformal_threshold(np.delete(scores, i), rate)
        guaranteed = threshold.false_alarm_rate
        alarms += new > threshold.value
    assert alarms / len(scores) <= guaranteed + 1e-12
    assert guaranteed == max(rate, 1 / len(scores))


@given(
    n=st.integers(1, 400), rate=st.sampled_from([0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1 / 3, 0.5])
)
def test_no_stricter_than_it_must_be(n, rate):
    """With distinct scores exactly ⌊α(n + 1)⌋ of n + 1 may be rejected, and are."""
    everyone = np.arange(n + 1)
    alarms = sum(
        new > conformal_threshold(everyone[everyone != new], rate).value
        for new in everyone[-max(1, math.ceil(rate * (n + 1)) + 1) :]
    )
    assert alarms == max(1, math.floor(rate * (n + 1) + 1e-9))


def test_pixel_threshold_and_floor_come_from_the_maps():
    """The pixel threshold is a conformal threshold of the maps' maxima, the floor a median."""
    grids = np.random.default_rng(0).random((9, 3, 4)).astype(np.float32)
    outputs = [RuleOutput(float(10 + i), grid) for i, grid in enumerate(grids)]
    evidence = Evidence(Nearest(grids[0], np.zeros((3, 4), int)))
    images = [HeldOutImage(evidence, fold=0, width=32, height=24) for _ in grids]
    thresholds = calibrate_thresholds(outputs, images, sigma=2, false_alarm_rate=0.2)
    assert thresholds.image == conformal_threshold(np.arange(10, 19), 0.2)
    maps = [anomaly_map(grid, 24, 32, 2) for grid in grids]
    assert thresholds.pixel == sorted(heat.max() for heat in maps)[7]
    assert thresholds.map_floor == np.median([np.median(heat) for heat in maps])
