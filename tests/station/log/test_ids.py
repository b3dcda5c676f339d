"""Identifiers only ever grow: with many threads, and whatever the clock does."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from patchcore_dual.station.log.ids import Ids, is_id

DAY = 86_400 * 10**9


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows what is put into its list."""
    shown = [time.time_ns()]
    monkeypatch.setattr(time, "time_ns", lambda: shown[-1])
    return shown


def test_they_grow_while_the_clock_stands_still(clock):
    ids = Ids()
    made = [ids.next() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert all(map(is_id, made))


def test_they_grow_while_the_clock_jumps(clock):
    ids = Ids()
    made = []
    for jump in (0, -365 * DAY, 1, -DAY, 400 * DAY, -DAY, DAY // 2):
        clock.append(clock[-1] + jump)
        made += [ids.next() for _ in range(3)]
    assert made == sorted(set(made))


def test_they_sort_by_time(clock):
    first = Ids().next()
    clock.append(clock[-1] + 10**6)
    assert first < Ids().next()


def test_they_go_on_after_a_restart_with_a_clock_that_went_back(clock):
    last = Ids().next()
    clock.append(clock[-1] - DAY)
    one, other = Ids(after=last), Ids(after=last)  # two processes
    made = {ids.next() for ids in (one, other) for _ in range(1000)}
    assert len(made) == 2000
    assert min(made) > last


def test_threads_get_different_ones():
    ids = Ids()
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: ids.next(), range(5000)))
    assert len(set(made)) == 5000


@pytest.mark.parametrize(
    "text", ["", "8" * 26, "0" * 25, "0" * 27, "I" * 26, "0" * 25 + "\n", "ä" * 26]
)
def test_what_is_no_identifier(text):
    assert not is_id(text)
