"""What was acknowledged is there after a kill (SIGKILL) at any instant, and only what was added."""

import random
import signal
import subprocess
import sys
import time

from sqlalchemy import make_url

from patchcore_dual.station.log import ImageStore, Log, Query, open_database
from station.log.processes import environment
from station.log.wire import Wire

KILLS = 8
# Stores images, adds inspections, decides and edits for ever, and says what was acknowledged.
BUSY = """
import hashlib, sys
from pathlib import Path
from patchcore_dual.station.log import Decision, ImageStore, Log, open_database
from station.log.makers import START, edit, inspection
folder = Path(sys.argv[2])
log, store = Log(open_database(sys.argv[1]), folder / "spool"), ImageStore(folder / "images")
decision = Decision(label="good", by="ada", at=START)
print("begun", flush=True)
for seed in range(100_000):
    image = store.put(f"{sys.argv[3]} {seed}".encode() * 1000)
    record = inspection(seed, id=log.new_id(), image=image)
    log.add(record)
    print("inspection", record.id, image, flush=True)
    if seed % 3 == 0:
        one = edit(seed, id=log.new_id())
        log.add_edit(one)
        print("edit", one.id, flush=True)
    if seed % 4 == 0 and log.is_available:
        log.decide(record.id, decision)
        print("decision", record.id, flush=True)
"""


class Acknowledged:
    """What killed processes said that they had added."""

    def __init__(self):
        self.said = {"inspection": set(), "edit": set(), "decision": set(), "image": set()}

    def kill_one(self, url, folder, seed, meanwhile=lambda: None):
        """Let a process work for a while, and kill it."""
        process = subprocess.Popen(
            [sys.executable, "-c", BUSY, url, str(folder), str(seed)],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "begun\n"
        meanwhile()
        time.sleep(random.Random(seed).uniform(0, 0.2))
        process.kill()
        output = process.stdout.read()
        assert process.wait() == -signal.SIGKILL
        for line in output.splitlines(keepends=True):
            kind, *names = line.split()
            if line.endswith("\n"):
                self.said[kind].add(names[0])
                self.said["image"] |= set(names[1:])

    def check(self, log, store):
        found = list(log.iterate(Query()))
        ids = [one.id for one in found]
        assert ids == sorted(set(ids), reverse=True)
        assert set(ids) >= self.said["inspection"]
        # At most the one that each process was adding was not acknowledged.
        assert len(set(ids) - self.said["inspection"]) <= KILLS
        edits = [one.id for one in log.edits(None, 10**6).items]
        assert len(edits) == len(set(edits))
        assert set(edits) >= self.said["edit"]
        assert {one.id for one in found if one.decision} >= self.said["decision"]
        for sha256 in self.said["image"]:
            store.read(sha256)


def test_nothing_acknowledged_is_lost(url, tmp_path):
    acknowledged = Acknowledged()
    for seed in range(KILLS):
        acknowledged.kill_one(url, tmp_path, seed)
        log = Log(open_database(url), tmp_path / "spool")
        acknowledged.check(log, ImageStore(tmp_path / "images"))
        log.close()
    assert len(acknowledged.said["inspection"]) > KILLS


def test_nothing_acknowledged_is_lost_while_the_database_comes_and_goes(postgres_url, tmp_path):
    """Killed while it spools, and while it empties the spool."""
    wire = Wire(make_url(postgres_url).host, make_url(postgres_url).port)
    url = make_url(postgres_url).set(port=wire.port).render_as_string(hide_password=False)
    acknowledged, draw = Acknowledged(), random.Random(5)

    def comes_and_goes():
        for _ in range(draw.randrange(3)):
            wire.cut()
            time.sleep(draw.uniform(0, 0.3))
            wire.mend()
            time.sleep(draw.uniform(0, 1.2))
        if draw.random() < 0.5:
            wire.cut()

    spooled = 0
    for seed in range(KILLS):
        acknowledged.kill_one(url, tmp_path, seed, comes_and_goes)
        wire.mend()
        spooled += len(list((tmp_path / "spool").glob("[!.]*.json")))
    assert spooled
    log = Log(open_database(url), tmp_path / "spool")
    deadline = time.monotonic() + 20
    while not log.is_available:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    acknowledged.check(log, ImageStore(tmp_path / "images"))
    log.close()
