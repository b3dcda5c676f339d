"""`patchcore-dual serve` and `token` as commands: how they begin, end, and are killed."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPException

import pytest

from station.conftest import Client

COMMAND = "from patchcore_dual.cli.main import main; main()"


def command(*arguments):
    return [sys.executable, "-c", COMMAND, *map(str, arguments)]


def run(*arguments, **options):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=120, **options
    )


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Running:
    """A station in a process of its own, of the files in a folder."""

    def __init__(self, folder, *options):
        self.port = free_port()
        options = ("--port", self.port, "--data", folder / "data", *options)
        self.process = subprocess.Popen(
            command("serve", f"part={folder / 'models' / 'part'}", *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Tests may themselves be run in the background, where Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.client = Client(self.port)
        for _ in range(1200):
            try:
                self.client.get("/healthz")
                return
            except OSError:
                assert self.process.poll() is None, self.process.stdout.read()
                time.sleep(0.05)

    def end(self, with_signal):
        self.process.send_signal(with_signal)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def folder(settings, tmp_path):
    """A folder with `models/part`."""
    return tmp_path


def test_it_serves_until_it_is_told_to_stop(folder, pictures):
    running = Running(folder)
    assert running.client.inspect(pictures.defect).status == 201
    assert running.client.get("/v1/models/part").json()["can_be_taught"]
    code, said = running.end(signal.SIGINT)
    assert code == 130
    assert f"http://127.0.0.1:{running.port}" in said
    assert "Traceback" not in said
    again = Running(folder)
    assert len(again.client.get("/v1/inspections").json()["items"]) == 1
    listening = socket.create_connection(("127.0.0.1", again.port))
    with listening, listening.makefile("rb") as stream:
        listening.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not stream.readline().startswith(b"event: state"):
            pass
        code, said = again.end(signal.SIGTERM)
        assert stream.read().endswith(b"\r\n0\r\n\r\n"), "who listens is let go, not cut off"
    assert (code, "Traceback" in said) == (0, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--port", "PORT"), "choose another --port"),
        (("--host", "0.0.0.0"), "patchcore-dual token create"),
        (("--database", "postgresql://nobody@127.0.0.1:1/none"), "--database"),
        (("--database", "mysql://x"), "sqlite:///FILE"),
        (("--queue", "0"), "--queue is 0"),
        (("--max-mib", "0"), "--max-mib is 0"),
        (("--max-megapixels", "-2"), "--max-megapixels is -2"),
        (("--keep-days", "-1"), "--keep-days is -1"),
        (("--keep-gib", "-0.5"), "--keep-gib is -0.5"),
        (("--max-mib", "inf"), "--max-mib is inf"),
        (("--max-seconds", "nan"), "--max-seconds is nan"),
        (("--watch", "camera", "--settle", "inf"), "settle"),
    ],
)
def test_what_cannot_be_is_said_with_exit_code_2(folder, options, message):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = [port if option == "PORT" else option for option in options]
        if port not in options:
            options += ["--port", free_port()]
        place = ("--data", folder / "data")
        ended = run("serve", f"part={folder / 'models' / 'part'}", *place, *options)
    assert ended.returncode == 2, ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_damaged_or_missing_model_is_said_with_exit_code_2(folder):
    place = ("--data", folder / "data", "--port", free_port())
    ended = run("serve", folder / "nowhere", *place)
    assert (ended.returncode, "not a model folder" in ended.stderr) == (2, True)
    model = folder / "models" / "part"
    (bank,) = model.glob("normal-*")
    bank.write_bytes(bank.read_bytes()[:-1])
    ended = run("serve", model, *place)
    assert (ended.returncode, "damaged" in ended.stderr) == (2, True)
    ended = run("serve", "../x y=" + str(model), *place)
    assert (ended.returncode, "cannot be a model's name" in ended.stderr) == (2, True)


def test_tokens_are_made_listed_and_removed(tmp_path):
    data = ("--data", tmp_path / "data")
    assert f"--data {data[1]}" in run("token", "list", *data).stdout
    made = run("token", "create", "camera 3", "--role", "inspect", *data)
    token = made.stdout.strip()
    assert token.startswith("pcd_")
    assert "cannot be shown again" in made.stderr
    listed = run("token", "list", *data).stdout
    assert "camera 3  inspect" in listed
    assert token not in listed
    again = run("token", "create", "camera 3", *data)
    assert (again.returncode, "already" in again.stderr) == (2, True)
    assert run("token", "remove", "camera 3", *data).returncode == 0
    assert run("token", "remove", "camera 3", *data).returncode == 2


@pytest.mark.parametrize("arguments", [("serve",), ("token",), ("token", "create")])
def test_the_help_teaches(arguments):
    said = run(*arguments, "--help", env={**os.environ, "COLUMNS": "200"}).stdout
    assert "Example" in said


def test_all_that_was_acknowledged_outlives_kills(folder, pictures):
    """`benchmarks/station.py kills` does this 30 times, with more senders."""
    acknowledged, versions = {}, {}
    generator = random.Random(0)
    for _ in range(3):
        running, is_over = Running(folder), threading.Event()

        def send(running=running, is_over=is_over):
            while not is_over.is_set():
                try:
                    record = running.client.inspect(pictures.defect).json()
                    path = f"{record['links']['self']}/decision"
                    acknowledged[record["id"]] = None
                    running.client.post(path, {"label": "good"})
                    acknowledged[record["id"]] = "good"
                except (OSError, ValueError, HTTPException):
                    return

        def edit(running=running, is_over=is_over):
            while not is_over.is_set():
                try:
                    rate = {"false_alarm_rate": generator.uniform(0.1, 0.6)}
                    done = running.client.post("/v1/models/part/thresholds", rate).json()
                    if done["changed"]:
                        versions[done["version"]] = done["fingerprint"]
                except (OSError, ValueError, HTTPException):
                    return

        threads = [threading.Thread(target=work) for work in (send, edit)]
        for thread in threads:
            thread.start()
        before, begun = len(versions), time.monotonic()
        while len(versions) == before and time.monotonic() < begun + 60:
            time.sleep(0.01)
        time.sleep(generator.uniform(0, 1))
        running.end(signal.SIGKILL)
        is_over.set()
        for thread in threads:
            thread.join()
    assert acknowledged
    assert versions
    running = Running(folder)
    for id, label in acknowledged.items():
        record = running.client.get(f"/v1/inspections/{id}").json()
        if label is not None:
            assert record["decision"]["label"] == label
        assert running.client.get(record["links"]["image"]).status == 200
    ledger = running.client.get("/v1/models/part/versions").json()["versions"]
    logged = running.client.get("/v1/edits", query={"limit": 500}).json()["items"]
    logged = {edit["version"]: edit["fingerprint"] for edit in logged}
    for number, fingerprint in versions.items():
        assert ledger[number - 1]["fingerprint"] == logged[number] == fingerprint
    running.end(signal.SIGTERM)
    shutil.rmtree(folder / "data")
