"""`prefetch` is `map` with a thread: same results, same exceptions, bounded, nothing left."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.utils.prefetch import prefetch


def reading_threads():
    return [t for t in threading.enumerate() if t.name.startswith("ahead")]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert not reading_threads()


@given(st.lists(st.integers(-5, 5), max_size=12), st.integers(0, 4))
def test_it_is_map(items, depth):
    def inverse(n):
        return 1 / n

    def run(results):
        seen = []
        try:
            for result in results:
                seen.append(result)
        except ZeroDivisionError as error:
            seen.append(str(error))
        return seen

    assert run(prefetch(inverse, iter(items), depth)) == run(map(inverse, items))
    assert not reading_threads()


def test_order_with_uneven_work():
    def work(n):
        time.sleep(0.002 * (n % 3))
        return n

    assert list(prefetch(work, range(20), 3)) == list(range(20))


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_never_more_than_depth_ahead(depth):
    taken, begun = [], []

    def items():
        for n in range(12):
            taken.append(n)
            yield n

    for n in prefetch(lambda n: begun.append(n) or n, items(), depth):
        time.sleep(0.005)
        assert len(taken) <= n + 1 + depth
        assert len(begun) <= n + 1 + depth
    assert begun == list(range(12))


def test_the_next_is_read_while_the_caller_works():
    second = threading.Event()

    def read(n):
        if n == 1:
            second.set()
        return n

    results = prefetch(read, range(3), 1)
    assert next(results) == 0
    assert second.wait(5)
    assert list(results) == [1, 2]


def test_stopping_early_ends_the_thread_and_drops_the_rest():
    begun = []
    go_on = threading.Event()

    def read(n):
        begun.append(n)
        if n == 1:
            go_on.wait(5)
        return n

    results = prefetch(read, range(100), 3)
    assert next(results) == 0
    while begun != [0, 1]:
        time.sleep(0.001)
    threading.Timer(0.05, go_on.set).start()
    results.close()
    assert begun == [0, 1]


def test_leaving_a_loop_ends_the_thread():
    def first_above(limit):
        for n in prefetch(lambda n: n, range(100)):
            if n > limit:
                return n

    assert first_above(5) == 6
    assert not reading_threads()


def test_an_exception_comes_in_its_place_and_ends_all():
    results = prefetch(lambda text: int(text), ["1", "2", "x", "4"], 2)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ValueError, match="'x'"):
        next(results)
    assert not reading_threads()
    assert list(results) == []


def test_an_exception_of_the_items_comes_through():
    def items():
        yield 1
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(prefetch(lambda n: n, items(), 3))


def test_nothing_happens_before_it_is_asked_for():
    def never(n):
        raise AssertionError

    prefetch(never, [1, 2])
    assert list(prefetch(never, [])) == []
