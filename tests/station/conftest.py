"""Stations with small models, in this process and on a real port."""

import http.client
import json
import shutil
import threading
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import numpy as np
import pytest

from patchcore_dual.data.reading import read_image, read_mask, write_png
from patchcore_dual.station.settings import Limits, StationSettings


@pytest.fixture(scope="session")
def saved_models(fitted_with, tmp_path_factory):
    """Folders of a model with defects ("dual") and of one by distances alone ("ratio")."""
    folder = tmp_path_factory.mktemp("station-models")
    fitted_with().save(folder / "dual")
    fitted_with(scoring="ratio").save(folder / "ratio")
    return folder


@dataclass
class Pictures:
    """Image files that the models have not seen, as bytes."""

    good: bytes
    defect: bytes
    mask: bytes


@pytest.fixture(scope="session")
def pictures(prepared, tmp_path_factory):
    """A good part, and a defect that was seen, in other light."""
    folder = tmp_path_factory.mktemp("pictures")
    train = prepared.part("train")
    for label, name in (("positive", "defect"), ("negative", "good")):
        sample = train.part(label=label).samples[0]
        image = read_image(train.image_path(sample)).astype(np.int64) + 3
        write_png(folder / f"{name}.png", image.clip(0, 255).astype(np.uint8))
    mask = train.mask_path(train.part(label="positive").samples[0])
    write_png(folder / "mask.png", read_mask(mask))
    return Pictures(*((folder / f"{n}.png").read_bytes() for n in ("good", "defect", "mask")))


@pytest.fixture
def settings(saved_models, tmp_path):
    """Of a station with one model, `part`, which may be edited."""
    model = shutil.copytree(saved_models / "dual", tmp_path / "models" / "part")
    return StationSettings(
        {"part": model},
        data=tmp_path / "data",
        port=0,
        limits=Limits(max_bytes=2**20, max_pixels=10**6, max_seconds=60),
    )


@pytest.fixture
def make_station():
    """A function that starts a station; all are closed at the end."""
    from patchcore_dual.station.station import Station

    started = []

    def make(settings):
        started.append(Station(settings))
        return started[-1]

    yield make
    for station in started:
        station.close()


@pytest.fixture
def station(settings, make_station):
    return make_station(settings)


@dataclass
class Answer:
    """What the station answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json()["error"]["code"]

    @property
    def message(self):
        return self.json()["error"]["message"]


class Client:
    """Talks to a station over HTTP, one connection for each request."""

    def __init__(self, port, token=None):
        self.port, self.token = port, token

    def __call__(self, method, path, body=None, headers=None, query=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = dict(headers or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if query:
            path = f"{path}?{urlencode(query, doseq=True)}"
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, **options):
        return self("GET", path, **options)

    def post(self, path, body=None, **options):
        return self("POST", path, body, **options)

    def inspect(self, content, model="part", **options):
        return self.post(f"/v1/models/{model}/inspections", content, **options)


@pytest.fixture
def serve(make_station):
    """A function that serves a station on a free port, and gives a client of it."""
    from patchcore_dual.station.web import server

    running = []

    def serve(settings, token=None):
        station = make_station(settings)
        listening = server.listen(replace(settings, host="127.0.0.1"))
        web = server.server_of(station)
        web.config.timeout_graceful_shutdown = 1
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        running.append((web, thread))
        client = Client(listening.getsockname()[1], token)
        client.station = station
        return client

    yield serve
    for web, thread in running:
        web.should_exit = True
        thread.join(10)


@pytest.fixture
def client(settings, serve):
    return serve(settings)
