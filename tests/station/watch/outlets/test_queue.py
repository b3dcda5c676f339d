"""The queue on disk, and the thread that empties it."""

import json
import logging
import threading

import pytest

from patchcore_dual.errors import StationError
from patchcore_dual.station.watch.database import WatchDatabase
from patchcore_dual.station.watch.outlets import (
    Delivery,
    Message,
    OutletQueue,
    Refused,
    Undelivered,
    path_beside,
    write_beside,
)
from station.watch.conftest import running, wait_until


def message(number):
    return Message(f"id-{number}", "inspection", json.dumps({"number": number}))


@pytest.fixture
def database(tmp_path):
    database = WatchDatabase(tmp_path / "watch.db")
    yield database
    database.close()


class Line:
    """A receiver that fails as it is told."""

    def __init__(self, name="line", failures=()):
        self.name, self.failures, self.taken = name, list(failures), []
        self.opened = self.closed = 0

    def open(self):
        self.opened += 1

    def send(self, message):
        failure = self.failures.pop(0) if self.failures else None
        if failure:
            raise failure
        self.taken.append(message)

    def close(self):
        self.closed += 1


def numbers(line):
    return [message.values["number"] for message in line.taken]


def test_messages_come_in_order_whatever_fails(database):
    queue = OutletQueue(database, ["line"])
    line = Line(failures=[Undelivered("away"), None, RuntimeError("a fault"), None, OSError()])
    for number in range(5):
        queue.put(message(number))
    delivery = Delivery(line, queue, first_wait=0.01, longest_wait=0.02)
    with running(delivery):
        for number in range(5, 10):
            queue.put(message(number))
        wait_until(lambda: len(line.taken) == 10)
    assert numbers(line) == list(range(10))
    assert [message.sequence for message in line.taken] == list(range(1, 11))
    assert delivery.state() == {
        **{"name": "line", "queued": 0, "lost": 0, "refused": 0, "delivered": 10},
        **{"failure": "", "failing_for": 0.0},
    }
    assert (line.opened, line.closed) == (1, 1)


def test_a_restart_loses_none_and_counts_on(database, tmp_path):
    queue = OutletQueue(database, ["line"])
    for number in range(3):
        queue.put(message(number))
    queue.delivered("line", queue.oldest("line"))
    database.close()
    again = WatchDatabase(tmp_path / "watch.db")
    queue, line = OutletQueue(again, ["line"]), Line()
    queue.put(message(3))
    with running(Delivery(line, queue)):
        wait_until(lambda: len(line.taken) == 3)
    assert [message.sequence for message in line.taken] == [2, 3, 4]
    again.close()


def test_one_dead_receiver_holds_no_other_up(database):
    queue = OutletQueue(database, ["dead", "line"])
    dead, line = Line("dead", [Undelivered("away")] * 1000), Line()
    deliveries = [Delivery(one, queue, first_wait=0.01, longest_wait=0.01) for one in (dead, line)]
    with running(deliveries[0]), running(deliveries[1]):
        for number in range(20):
            queue.put(message(number))
        wait_until(lambda: len(line.taken) == 20)
        state = wait_until(lambda: (s := deliveries[0].state())["failure"] and s)
    assert state["queued"] == 20
    assert state["failure"] == "away"
    assert state["failing_for"] >= 0


def test_a_refused_message_is_counted_and_the_next_follows(database, caplog):
    queue, line = OutletQueue(database, ["line"]), Line(failures=[None, Refused("no such model")])
    for number in range(3):
        queue.put(message(number))
    with running(Delivery(line, queue)):
        wait_until(lambda: len(line.taken) == 2)
    assert numbers(line) == [0, 2]
    assert queue.counts("line") == {"queued": 0, "lost": 0, "refused": 1}
    assert "refuses the result id-1: no such model" in caplog.text


def test_waits_grow_and_what_the_receiver_asks_for_counts(database):
    queue = OutletQueue(database, ["line"])
    waits = []

    class Clock(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            return False

    failures = [Undelivered("away")] * 8
    failures += [Undelivered("busy", seconds) for seconds in (5.0, 900.0, 1e9)]
    line = Line(failures=failures)
    delivery = Delivery(line, queue, first_wait=1.0, longest_wait=60.0)
    delivery._is_stopping = Clock()
    queue.put(message(0))
    with running(delivery):
        wait_until(lambda: line.taken)
    expected = [1, 2, 4, 8, 16, 32, 60, 60]
    assert len(waits) == len(failures)
    assert all(0.75 * e <= wait <= e for e, wait in zip(expected, waits, strict=False)), waits
    assert 5 <= waits[8] <= 6.25  # never sooner than it asked for
    assert 900 <= waits[9] <= 1125
    assert 3600 <= waits[10] <= 4500


def test_a_full_queue_says_so_and_keeps_the_newest(database, caplog):
    queue = OutletQueue(database, ["line"], limit=5)
    for number in range(12):
        queue.put(message(number))
    assert queue.counts("line") == {"queued": 5, "lost": 7, "refused": 0}
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "is full with 5 results" in record.message
    line = Line()
    with running(Delivery(line, queue)):
        wait_until(lambda: len(line.taken) == 5)
    assert numbers(line) == [7, 8, 9, 10, 11]
    assert line.taken[0].sequence == 8  # the gap is seen
    for number in range(12):
        queue.put(message(number))
    assert sum(r.levelno == logging.ERROR for r in caplog.records) == 2


def test_a_message_that_was_lost_while_it_was_sent_is_no_fault(database):
    queue = OutletQueue(database, ["line"], limit=2)
    queue.put(message(0))
    first = queue.oldest("line")
    for number in range(1, 4):
        queue.put(message(number))
    queue.delivered("line", first)
    assert queue.counts("line")["queued"] == 2


def test_what_is_not_committed_is_not_queued(database):
    queue = OutletQueue(database, ["line"])

    def put_and_fail():
        with database.transaction():
            queue.put(message(0))
            raise StationError("as if the process ended here")

    with pytest.raises(StationError, match="as if"):
        put_and_fail()
    assert queue.oldest("line") is None


def test_a_full_disk_is_a_clear_error(database):
    resource = pytest.importorskip("resource")
    queue = OutletQueue(database, ["line"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StationError, match="cannot be used"):
            queue.put(message(0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    queue.put(message(1))
    assert queue.oldest("line").id == "id-1"


def test_ten_thousand_messages_are_queued_fast(database):
    queue = OutletQueue(database, ["line"])
    with database.transaction():
        for number in range(10_000):
            queue.put(message(number))
    assert queue.counts("line")["queued"] == 10_000
    assert queue.oldest("line").id == "id-0"


def test_files_beside_replace_only_their_own(tmp_path):
    image = tmp_path / "part.png"
    image.write_bytes(b"image")
    (tmp_path / "part.png.json").write_text("the camera's own")
    write_beside(image, '{"verdict": "pass"}')
    write_beside(image, '{"verdict": "reject", "name": "ä"}')
    assert json.loads(path_beside(image).read_bytes()) == {"verdict": "reject", "name": "ä"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("part.png", "part.png.inspection.json", "part.png.json")
    ]
