"""A station with a model of demo parts, and what receives its results."""

import http.server
import json
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.demo.surfaces import make_surfaces
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.station.log import Query
from patchcore_dual.station.settings import StationSettings
from patchcore_dual.station.station import Station


@pytest.fixture(scope="session")
def parts(tmp_path_factory):
    """A folder of demo parts, in `train` and `test`, with 12 good and 3 defective ones to fit."""
    folder = tmp_path_factory.mktemp("demo") / "parts"
    make_surfaces(folder, train_good=12, train_defective=3, test_good=6, test_defective=6)
    return folder


@pytest.fixture(scope="session")
def images(parts):
    """The contents of 12 image files of parts that the model does not know."""
    paths = sorted(p for p in (parts / "test").rglob("*.png") if "masks" not in p.parts)
    return [path.read_bytes() for path in paths]


@pytest.fixture(scope="session")
def part_model(parts, tmp_path_factory):
    """The folder of a model that was fitted on demo parts."""
    folder = tmp_path_factory.mktemp("model")
    prepare("folder", parts, folder / "prepared", width=96, height=96)
    detector = PatchCoreDual(scoring="ratio", false_alarm_rate=0.05)
    detector.fit(Manifest.load(folder / "prepared"))
    detector.save(folder / "part")
    return folder / "part"


@pytest.fixture
def data(tmp_path):
    """The station's own folder."""
    return tmp_path / "data"


@pytest.fixture
def station(part_model, data):
    station = Station(StationSettings({"part": part_model}, data=data))
    yield station
    station.close()


@pytest.fixture
def folder(tmp_path):
    """The folder that is watched."""
    folder = tmp_path / "camera"
    folder.mkdir()
    return folder


def logged(station):
    """All inspections in the log, the oldest first."""
    return list(station.log.iterate(Query()))[::-1]


def files(folder):
    """Paths of all files in a folder but hidden ones, as text, in order."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in Path(folder).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def wait_until(condition, seconds=20.0):
    """Wait for a condition, which has to become true in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)
    return value


def put(folder, name, content):
    """Rename a complete file into place, as careful cameras do."""
    path = os.path.join(os.fsencode(folder), os.fsencode(name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    hidden = os.path.join(os.path.dirname(path), b".incomplete")
    with open(hidden, "wb") as file:
        file.write(content)
    os.rename(hidden, path)
    return Path(os.fsdecode(path))


class Receiver:
    """A real HTTP server that keeps what it is posted.

    Attributes:
        answers: statuses of the next answers; 200 when there are none left. 0 closes the
            connection without an answer, after the message was taken.
        taken: messages that were answered with 200, with `headers` and `raw` body.
        headers: more headers of the answers.
    """

    def __init__(self):
        self.answers, self.taken, self.headers, self.seen = [], [], {}, 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.seen += 1
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status in (0, 200):
                    message = {**json.loads(raw), "headers": dict(self.headers), "raw": raw}
                    receiver.taken.append({**message, "path": self.path})
                if status:
                    self.send_response(status)
                    for header in receiver.headers.items():
                        self.send_header(*header)
                    self.send_header("Location", "/elsewhere")
                    self.end_headers()
                    self.wfile.write(b"said so")

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/results?line=3"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    @property
    def ids(self):
        return [message["id"] for message in self.taken]


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@contextmanager
def running(one):
    """Start something and close it afterwards."""
    one.start()
    try:
        yield one
    finally:
        one.close()
