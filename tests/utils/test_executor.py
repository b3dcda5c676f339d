"""Executors: each item once, whatever happens to the workers."""

import sys
from functools import partial
from multiprocessing import active_children

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crews
from patchcore_dual.errors import WorkerError
from patchcore_dual.utils.executor import Died, Done, InThisProcess, Lost, Ready, shared_out
from patchcore_dual.utils.processes import Processes, cores

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills workers by SIGKILL")


def test_each_item_comes_once_and_only_the_deadly_one_is_lost(tmp_path):
    items = [*range(30), "deadly once", *range(30), "deadly", *range(30)]
    results = list(Processes(2).map(partial(crews.make, tmp_path), iter(items)))
    assert sorted(index for index, _ in results) == list(range(len(items)))
    threads = str(max(1, cores() // 2))
    for index, result in results:
        if items[index] == "deadly":
            assert isinstance(result, Lost)
            assert "signal 9" in result.reason
        else:
            assert result == (items[index], threads, threads)


@pytest.mark.parametrize("executor", [InThisProcess(), Processes(2)])
def test_errors_are_raised_where_results_are_awaited(executor, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(ValueError, match="a faulty item"):
        list(executor.map(partial(crews.make, tmp_path), [1, "faulty"]))
    with pytest.raises(OSError, match="no model here"):
        list(executor.map(partial(crews.cannot_be_made, tmp_path), [1]))
    assert list(executor.map(partial(crews.cannot_be_made, tmp_path), [])) == []


def test_workers_that_never_start_end_the_run(tmp_path):
    with pytest.raises(WorkerError, match="no worker can be started"):
        list(Processes(1).map(partial(crews.dies_at_once, tmp_path), [1, 2]))


def test_leaving_early_ends_the_workers_and_takes_few_items(tmp_path):
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield taken[-1]

    results = Processes(2).map(partial(crews.make, tmp_path), endless())
    next(results)
    before = active_children()
    assert len(before) == 2
    results.close()
    assert not active_children()
    assert not any(psutil.pid_exists(process.pid) for process in before)
    assert len(taken) <= 6


class _Simulated:
    """A crew whose workers die when `fates` say so."""

    def __init__(self, fates):
        self.fates, self.workers, self.happened = iter(fates), 0, []
        self.most = 0

    def start(self):
        self.workers += 1
        self.happened.append((object(), Ready()))

    def give(self, worker, item):
        self.most = max(self.most, len(self.happened))
        dies = next(self.fates, False)
        self.workers -= dies
        self.happened.append((worker, Died("killed") if dies else Done(item)))

    def dismiss(self, worker):
        self.workers -= 1

    def events(self):
        assert self.happened, "nothing would ever happen"
        return [self.happened.pop(0)]


@given(st.integers(0, 20), st.integers(1, 4), st.lists(st.booleans()))
def test_whatever_dies_each_item_is_done_or_lost_once(n_items, size, fates):
    crew = _Simulated(fates)
    results = dict(shared_out(crew, size, range(n_items)))
    assert sorted(results) == list(range(n_items))
    assert all(result == index or isinstance(result, Lost) for index, result in results.items())
    assert sum(isinstance(result, Lost) for result in results.values()) <= sum(fates) // 3
    assert crew.workers == 0
    assert crew.most < size + 1
