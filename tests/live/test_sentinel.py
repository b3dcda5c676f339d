"""Drift is found soon, and chance, defects and groups are not taken for it."""

import json
from itertools import count

import numpy as np
import pytest

from live.appearances import reference_of, stream_of, usual
from patchcore_dual.errors import SettingsError
from patchcore_dual.live.drift_report import changes, draw, message, place, report
from patchcore_dual.live.sentinel import EPOCH, Sentinel
from patchcore_dual.scoring.appearance import GRID, STATISTICS, Appearance
from reference.sentinel import capital_of


def alarm(reference, values, seed=0, level=0.01):
    """The number of the image at which drift is found; None where it is not."""
    sentinel = Sentinel(reference, level, seed)
    return next((n for n, one in zip(count(1), stream_of(values)) if sentinel.add(one)), None)


def test_the_capital_is_that_of_the_slow_reference():
    random = np.random.default_rng(1)
    known, stream = usual(random, 20), np.round(usual(random, 40, mean=3))
    reference = reference_of(np.round(known))
    sentinel = Sentinel(reference, seed=5)
    for n, one in enumerate(stream_of(stream), 1):
        sentinel.add(one)
        if n in (1, 2, 20, 40):
            assert sentinel.capital == pytest.approx(capital_of(reference, stream[:n], seed=5))


def test_unchanged_parts_raise_no_more_alarms_than_the_level():
    alarms = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        alarms += alarm(reference_of(usual(random, 60)), usual(random, 150), seed, 0.2) is not None
    assert alarms <= 12  # a fifth of the runs


@pytest.mark.parametrize("direction", [-1, 1])
def test_a_change_is_found_from_the_start_and_in_the_middle(direction):
    random = np.random.default_rng(2)
    reference = reference_of(usual(random, 200))
    moved = usual(random, 100)
    moved[:, STATISTICS.index("brightness")] += direction * 25
    assert alarm(reference, moved) < 40
    sentinel = Sentinel(reference)
    for one in stream_of(np.concatenate([usual(random, 300), moved])):
        sentinel.add(one)
    finding = sentinel.finding
    assert 260 < finding.since < 320  # an estimate
    assert 301 < finding.found < 350
    assert (finding.statistic, finding.is_more) == ("brightness", direction > 0)
    word = "brighter" if direction > 0 else "darker"
    assert word in message(sentinel)
    assert changes(sentinel)[0].name == "brightness"
    assert report(sentinel)["status"] == "drifting"


def test_a_tenth_of_defects_is_no_drift_and_nothing_but_defects_is():
    random = np.random.default_rng(3)
    reference = reference_of(usual(random, 200))
    stream = usual(random, 400)
    stream[random.random(400) < 0.1, :2] += 200  # far from the normal bank
    assert alarm(reference, stream) is None
    stream[:, :2] += 200
    assert alarm(reference, stream) < 20


def test_being_nearer_than_held_out_images_is_no_drift():
    random = np.random.default_rng(4)
    stream = usual(random, 200)
    stream[:, :2] -= 30
    assert alarm(reference_of(usual(random, 200)), stream) is None


def test_other_parts_of_which_there_are_several_images_are_no_drift():
    alarms, alone = 0, 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        parts = 10 * random.standard_normal((40, len(STATISTICS)))
        values = 100 + np.repeat(parts, 8, axis=0) + random.standard_normal((320, len(STATISTICS)))
        group = np.repeat(np.arange(20), 8)
        stream = random.permutation(values[160:])
        alarms += alarm(reference_of(values[:160], group), stream, seed) is not None
        alone += alarm(reference_of(values[:160]), stream, seed) is not None
    assert alarms == 0
    assert alone > 0  # without groups the reference cannot know


def test_good_images_that_were_taught_say_what_is_good_now():
    random = np.random.default_rng(5)
    fitted, darker = usual(random, 200), usual(random, 20, mean=-30)
    values = np.concatenate([fitted, darker])
    taught = np.arange(220) >= 200
    stream = usual(random, 150, mean=-30)
    assert alarm(reference_of(fitted), stream) is not None
    assert alarm(reference_of(values, is_taught=taught), stream) is None
    assert alarm(reference_of(values, is_taught=taught), usual(random, 100, mean=-60)) is not None
    assert alarm(reference_of(values, is_taught=taught), usual(random, 100, mean=30)) is not None


def test_a_drift_that_was_repaired_is_over_and_remembered():
    random = np.random.default_rng(6)
    sentinel = Sentinel(reference_of(usual(random, 200)))
    for one in stream_of(usual(random, 60, mean=40)):
        sentinel.add(one)
    assert sentinel.is_drifting
    for one in stream_of(usual(random, 300)):
        sentinel.add(one)
    assert not sentinel.is_drifting
    assert message(sentinel) == ""
    assert [(one.since, one.last <= 80) for one in sentinel.past] == [(1, True)]


def test_memory_is_bounded_and_epochs_share_the_level():
    random = np.random.default_rng(7)
    sentinel = Sentinel(reference_of(usual(random, 50)))
    for one in stream_of(usual(random, EPOCH + 10)):
        sentinel.add(one)
    values = sentinel.to_json()
    assert (values["epoch"], values["seen"], sentinel.images) == (2, 10, EPOCH + 10)
    assert max(map(len, values["stream"])) == 10
    assert len(values["recent"]) == 50


def test_it_goes_on_after_a_restart_as_if_there_had_been_none():
    random = np.random.default_rng(8)
    reference = reference_of(usual(random, 50))
    stream = stream_of(usual(random, 90, mean=4))
    whole, half = Sentinel(reference), Sentinel(reference)
    for one in stream:
        whole.add(one)
    for one in stream[:40]:
        half.add(one)
    again = Sentinel.from_json(reference, json.loads(json.dumps(half.to_json())))
    for one in stream[40:]:
        again.add(one)
    assert json.dumps(again.to_json()) == json.dumps(whole.to_json())


def test_statistics_that_never_vary_say_nothing():
    reference = reference_of(np.zeros((50, len(STATISTICS))))
    assert alarm(reference, np.zeros((300, len(STATISTICS)))) is None


@pytest.mark.parametrize("level", [0, 1, -0.5, float("nan")])
def test_a_level_is_a_probability(level):
    with pytest.raises(SettingsError, match="give a probability"):
        Sentinel(reference_of(np.ones((10, len(STATISTICS)))), level)


def test_the_corner_that_changed_is_named_and_drawn():
    random = np.random.default_rng(9)
    values = usual(random, 100)
    reference = reference_of(values)
    sentinel = Sentinel(reference)
    dark = np.ones((GRID, GRID), np.float32)
    dark[3, 0] = 0.2
    for row in usual(random, 40, mean=40):
        sentinel.add(Appearance(row, dark, np.ones((GRID, GRID), np.float32)))
    assert place(sentinel) == "at the bottom left"
    assert "most of all at the bottom left" in message(sentinel)
    picture = draw(sentinel)
    assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
    panel = picture[24 : 24 + 4 * 56, -4 * 56 - 8 :].astype(int)  # the difference of brightness
    blueness = panel[50::56, 50 : 4 * 56 : 56, 2] - panel[50::56, 50 : 4 * 56 : 56, 0]
    assert np.unravel_index(blueness.argmax(), blueness.shape) == (3, 0)
