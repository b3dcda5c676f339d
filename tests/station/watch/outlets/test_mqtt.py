"""MQTT against a real Mosquitto: open, with a password, with TLS, and one that goes away."""

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import time

import pytest

from patchcore_dual.errors import StationError
from patchcore_dual.station.watch.database import WatchDatabase
from patchcore_dual.station.watch.outlets import Delivery, Message, Mqtt, OutletQueue, Undelivered
from station.watch.conftest import running, wait_until

paho = pytest.importorskip("paho.mqtt.client", reason="needs the extra mqtt")
RESULT = Message("01J", "inspection", '{"model": "bracket", "verdict": "reject", "id": "01J"}', 7)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Broker:
    """A Mosquitto of its own on a free port, that can be stopped and started."""

    def __init__(self, program, folder, *settings):
        self.port, self._program, self._folder = free_port(), program, folder
        lines = [f"listener {self.port} 127.0.0.1", *settings]
        if os.geteuid() == 0:
            lines.append("user root")  # the temporary folder is root's
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self.start()

    def start(self):
        command = [self._program, "-c", str(self._folder / "mosquitto.conf")]
        log = (self._folder / "mosquitto.log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log)

        def listens():
            assert self._process.poll() is None, (self._folder / "mosquitto.log").read_text()
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(listens)

    def stop(self):
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)

    def freeze(self, is_frozen):
        self._process.send_signal(signal.SIGSTOP if is_frozen else signal.SIGCONT)


@pytest.fixture
def broker(tmp_path):
    """A function that starts a broker."""
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        pytest.skip("Mosquitto is not installed: run tests/services.sh")
    started = []

    def start(*settings):
        started.append(Broker(program, tmp_path, *settings))
        return started[-1]

    yield start
    for one in started:
        one.freeze(False)
        one.stop()


class Subscriber:
    """A client that keeps what it hears, as a PLC would."""

    def __init__(self, port, topic="#", **login):
        self._heard = queue.Queue()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if login:
            self._client.username_pw_set(**login)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_message = lambda _, __, message: self._heard.put(message)
        ready = queue.Queue()
        self._client.on_subscribe = lambda *_: ready.put(True)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        ready.get(timeout=10)

    def next(self):
        return self._heard.get(timeout=10)

    def until(self, topic, payload):
        while (one := self.next()).topic != topic or one.payload != payload:
            pass
        return one

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def subscribe():
    opened = []

    def subscribe(*arguments, **options):
        opened.append(Subscriber(*arguments, **options))
        return opened[-1]

    yield subscribe
    for one in opened:
        one.close()


def opened(outlet):
    outlet.open()
    return outlet


def test_a_result_is_published_and_the_state_is_retained(broker, subscribe):
    port = broker("allow_anonymous true").port
    early = subscribe(port)
    outlet = opened(Mqtt(f"mqtt://127.0.0.1:{port}/plant/line 3"))
    outlet.send(RESULT)
    assert early.until("plant/line 3/state", b"online").qos == 1
    verdict = early.until("plant/line 3/bracket/verdict", b"reject")
    inspection = early.next()
    assert inspection.topic == "plant/line 3/bracket/inspection"
    assert json.loads(inspection.payload) == {
        **{"type": "inspection", "sequence": 7},
        **{"model": "bracket", "verdict": "reject", "id": "01J"},
    }
    assert [(one.qos, one.retain) for one in (verdict, inspection)] == [(1, False)] * 2
    late = subscribe(port)
    state = late.next()
    assert (state.topic, state.payload, state.retain) == ("plant/line 3/state", b"online", True)
    outlet.close()
    assert early.until("plant/line 3/state", b"offline")
    assert late.until("plant/line 3/state", b"offline")


def test_a_station_that_dies_is_offline_by_its_last_will(broker, subscribe):
    port = broker("allow_anonymous true").port
    heard = subscribe(port, "patchcore-dual/state")
    outlet = opened(Mqtt(f"mqtt://127.0.0.1:{port}"))
    assert heard.next().payload == b"online"
    outlet._client.loop_stop()
    outlet._client.socket().shutdown(socket.SHUT_RDWR)  # as when the process is killed
    outlet._client.socket().close()
    assert heard.next().payload == b"offline"
    retained = subscribe(port, "patchcore-dual/state").next()
    assert (retained.payload, retained.retain) == (b"offline", True)


def test_unreadable_files_and_odd_names(broker, subscribe):
    port = broker("allow_anonymous true").port
    heard = subscribe(port, "patchcore-dual/+/verdict")
    outlet = opened(Mqtt(f"mqtt://127.0.0.1:{port}"))
    body = {"model": "a/b+#", "verdict": "unreadable", "error": "no image"}
    outlet.send(Message("01K", "unreadable", json.dumps(body)))
    message = heard.next()
    assert (message.topic, message.payload) == ("patchcore-dual/a_b__/verdict", b"unreadable")
    outlet.close()


def test_a_broker_that_goes_away_gets_all_in_order_when_it_is_back(broker, subscribe, tmp_path):
    one = broker("allow_anonymous true")
    database = WatchDatabase(tmp_path / "watch.db")
    results = OutletQueue(database, ["mqtt"])
    outlet = Mqtt(f"mqtt://127.0.0.1:{one.port}", timeout=1.0)
    outlet._client.reconnect_delay_set(1, 1)
    delivery = Delivery(outlet, results, first_wait=0.05, longest_wait=0.2)
    heard = []

    def put(numbers):
        for number in numbers:
            body = json.dumps({"model": "bracket", "verdict": "pass", "id": f"{number:02}"})
            results.put(Message(f"{number:02}", "inspection", body))

    def hear(subscriber):
        while not heard or heard[-1] != "29":
            heard.append(json.loads(subscriber.next().payload)["id"])

    with running(delivery):
        first = subscribe(one.port, "patchcore-dual/bracket/inspection")
        put(range(10))
        wait_until(lambda: delivery.state()["queued"] == 0)
        heard += [json.loads(first.next().payload)["id"] for _ in range(10)]
        one.stop()
        put(range(10, 20))
        assert wait_until(lambda: delivery.state()["failure"])
        assert delivery.state()["queued"] == 10
        one.start()
        again = subscribe(one.port, "patchcore-dual/bracket/inspection")
        put(range(20, 30))
        wait_until(lambda: delivery.state()["queued"] == 0, 30)
        hear(again)
    # What comes twice does so directly after itself, so that it is known by the id before.
    assert list(dict.fromkeys(heard)) == [f"{number:02}" for number in range(30)]
    database.close()


def test_a_broker_that_hangs_confirms_nothing(broker):
    one = broker("allow_anonymous true")
    outlet = opened(Mqtt(f"mqtt://127.0.0.1:{one.port}", timeout=0.5))
    outlet.send(RESULT)
    one.freeze(True)
    for _ in range(3):
        with pytest.raises(Undelivered, match="not confirmed"):
            outlet.send(RESULT)
    one.freeze(False)
    outlet.send(RESULT)
    outlet.close()


def test_users_and_passwords(broker, subscribe, tmp_path):
    password = tmp_path / "password"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), "line 3", "corr:ect horse"],
        check=True,
    )
    port = broker("allow_anonymous false", f"password_file {tmp_path / 'users'}").port
    password.write_text("corr:ect horse\n")
    password.chmod(0o600)
    heard = subscribe(port, username="line 3", password="corr:ect horse")
    outlet = opened(Mqtt(f"mqtt://line%203@127.0.0.1:{port}", password))
    outlet.send(RESULT)
    heard.until("patchcore-dual/bracket/verdict", b"reject")
    outlet.close()
    password.write_text("wrong\n")
    outlet = opened(Mqtt(f"mqtt://line%203@127.0.0.1:{port}", password, timeout=1.0))
    with pytest.raises(Undelivered, match="Not authorized"):
        outlet.send(RESULT)
    outlet.close()


def certificates(folder):
    """An authority, and a certificate of 127.0.0.1 that it has signed."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ["-newkey", "rsa:2048", "-nodes"]
    for name in ("ca", "client-ca"):
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
        openssl("req", "-x509", *new, "-days", "2", "-subj", f"/CN={name}", *files)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name, authority in (("server", "ca"), ("client", "client-ca")):
        files = ["-keyout", f"{name}.key", "-out", f"{name}.csr"]
        openssl("req", *new, "-subj", f"/CN={name}", *files)
        signed = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial"]
        more = ["-days", "2", "-extfile", "names", "-out", f"{name}.pem"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, *more)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_tls_both_ways(broker, tmp_path):
    certificates(tmp_path)
    port = broker(
        *("allow_anonymous true", f"certfile {tmp_path}/server.pem"),
        *(f"keyfile {tmp_path}/server.key", f"cafile {tmp_path}/client-ca.pem"),
        "require_certificate true",
    ).port
    url = f"mqtts://127.0.0.1:{port}"
    own = {"certificate": tmp_path / "client.pem", "key": tmp_path / "client.key"}
    outlet = opened(Mqtt(url, authority=tmp_path / "ca.pem", **own))
    outlet.send(RESULT)
    outlet.close()
    for options in (own, {"authority": tmp_path / "ca.pem"}):  # unknown broker; unknown station
        outlet = opened(Mqtt(url, **options, timeout=1.0))
        with pytest.raises(Undelivered, match="cannot be used"):
            outlet.send(RESULT)
        outlet.close()
    with pytest.raises(StationError, match="certificates"):
        Mqtt(url, authority=tmp_path / "ca.key")


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:1883", "http://host", "mqtt://", "mqtt://host:0x1", "mqtt://host:99999"),
        *("mqtt://user:password@host", "mqtt://host/a/#", "mqtt://host/a+b", "mqtt://host/%00"),
        *("mqtt://host/a?b", "mqtt://[::1"),
    ],
)
def test_addresses_that_cannot_be(url):
    with pytest.raises(StationError, match="MQTT"):
        Mqtt(url)


def test_options_that_contradict_each_other(tmp_path):
    (tmp_path / "password").write_text("secret")
    with pytest.raises(StationError, match="needs a user"):
        Mqtt("mqtt://host", tmp_path / "password")
    with pytest.raises(StationError, match="cannot be read"):
        Mqtt("mqtt://user@host", tmp_path / "none")
    with pytest.raises(StationError, match="need TLS"):
        Mqtt("mqtt://host", authority=tmp_path / "ca.pem")


def test_a_broker_that_was_never_there_says_why(caplog):
    port = free_port()
    outlet = opened(Mqtt(f"mqtt://127.0.0.1:{port}", timeout=0.5))
    begun = time.monotonic()
    wait_until(lambda: caplog.messages)  # also where there is no result to deliver
    assert f"to the MQTT broker 127.0.0.1:{port}: Connection refused." in caplog.text
    with pytest.raises(Undelivered, match=f"127.0.0.1:{port} cannot be used: Connection refused"):
        outlet.send(RESULT)
    outlet.close()
    assert time.monotonic() - begun < 5
