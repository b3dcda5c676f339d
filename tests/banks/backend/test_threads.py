import os
import threading

import pytest

from patchcore_dual.banks.backend.compute import get_backend
from patchcore_dual.banks.backend.threads import run_on_row_blocks, run_on_threads


def test_every_item_is_given_to_one_thread():
    taken = []
    run_on_threads(taken.extend, range(1000))
    assert sorted(taken) == list(range(1000))


def test_row_blocks_cover_all_rows_once():
    for rows in (0, 1, 2, 101):
        blocks = []
        run_on_row_blocks(blocks.append, rows)
        assert len(blocks) == get_backend().thread_count()
        assert sorted(i for block in blocks for i in range(*block)) == list(range(rows))


@pytest.mark.parametrize("run", [run_on_threads, run_on_row_blocks])
def test_an_error_in_a_thread_is_raised(run):
    def fail(_):
        raise OSError("no luck")

    with pytest.raises(OSError, match="no luck"):
        run(fail, 3 if run is run_on_row_blocks else range(3))


def test_the_threads_compute_alone_and_others_do_not():
    backend, counts = get_backend(), []
    before = backend.thread_count()
    run_on_row_blocks(lambda rows: counts.append(backend.thread_count()), 10)
    own = [before]
    later = threading.Thread(target=lambda: own.append(backend.thread_count()))
    later.start()
    later.join()
    assert set(own) == {before} == {backend.thread_count()}
    if backend.__name__.endswith("torch_backend"):
        assert set(counts) == {1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_process_has_threads_of_its_own():
    run_on_threads(list, range(3))  # the pool exists before
    child = os.fork()
    if child == 0:
        taken = []
        run_on_threads(taken.extend, range(9))
        os._exit(0 if sorted(taken) == list(range(9)) else 1)
    assert os.waitpid(child, 0)[1] == 0
