"""The webhook against a real HTTP server, over TLS too."""

import http.server
import json
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from patchcore_dual.errors import StationError
from patchcore_dual.station.watch.database import WatchDatabase
from patchcore_dual.station.watch.outlets import (
    Delivery,
    Message,
    OutletQueue,
    Refused,
    Undelivered,
    Webhook,
    sign,
)
from station.watch.conftest import Receiver, running, wait_until

RESULT = Message("01J", "inspection", '{"verdict": "pass", "name": "ä\\ud83d\\ude00"}', 7)


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("correct horse\n")
    path.chmod(0o600)
    return path


def test_a_result_is_posted_signed_and_with_an_idempotency_key(receiver, secret):
    Webhook(receiver.url, secret).send(RESULT)
    (message,) = receiver.taken
    assert {key: message[key] for key in ("type", "id", "sequence", "data", "path")} == {
        **{"type": "inspection", "id": "01J", "sequence": 7, "path": "/results?line=3"},
        "data": {"verdict": "pass", "name": "ä😀"},
    }
    headers = message["headers"]
    assert headers["Idempotency-Key"] == "01J"
    assert headers["Content-Type"] == "application/json"
    at = int(re.match(r"t=(\d+),v1=[0-9a-f]{64}$", headers["PatchCoreDual-Signature"])[1])
    assert abs(time.time() - at) < 10
    assert headers["PatchCoreDual-Signature"] == sign(b"correct horse", message["raw"], at)
    assert sign(b"another", message["raw"], at) != headers["PatchCoreDual-Signature"]


def test_without_a_secret_nothing_is_signed(receiver):
    Webhook(receiver.url).send(RESULT)
    assert "PatchCoreDual-Signature" not in receiver.taken[0]["headers"]


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 409, 429, 500, 502, 503, 0])
def test_answers_after_which_it_is_tried_again(receiver, status):
    receiver.answers = [status]
    with pytest.raises(Undelivered) as caught:
        Webhook(receiver.url).send(RESULT)
    assert receiver.seen == 1  # no redirect is followed
    if status:
        assert f"answered {status} " in str(caught.value)
        assert "said so" in str(caught.value)
    assert caught.value.wait is None


@pytest.mark.parametrize("status", [400, 413, 414, 415, 422])
def test_answers_that_refuse_the_message(receiver, status):
    receiver.answers = [status]
    with pytest.raises(Refused, match=f"answered {status} "):
        Webhook(receiver.url).send(RESULT)


@pytest.mark.parametrize(
    ("again", "least", "most"),
    [
        ("7", 7, 7),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 1e9, 1e10),
        ("soon", None, None),
        ("-1", None, None),
    ],
)
def test_the_receiver_may_say_when_to_come_again(receiver, again, least, most):
    receiver.answers, receiver.headers = [503], {"Retry-After": again}
    with pytest.raises(Undelivered) as caught:
        Webhook(receiver.url).send(RESULT)
    assert caught.value.wait is least is None or least <= caught.value.wait <= most


def test_receivers_that_are_not_there_or_speak_no_http():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"

        def answer(text):
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(text)

        for text in (b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 100):
            thread = threading.Thread(target=answer, args=(text,))
            thread.start()
            with pytest.raises(Undelivered, match="cannot be reached"):
                Webhook(url).send(RESULT)
            thread.join()
        with pytest.raises(Undelivered, match="no answer in time"):
            Webhook(url, timeout=0.2).send(RESULT)  # nobody accepts
    with pytest.raises(Undelivered, match="refused"):
        Webhook(url).send(RESULT)
    with pytest.raises(Undelivered, match="its name is not known"):
        Webhook("http://no-such-host.invalid/").send(RESULT)


def test_a_receiver_that_fails_at_times_gets_all_in_order(receiver, tmp_path):
    database = WatchDatabase(tmp_path / "watch.db")
    queue = OutletQueue(database, ["webhook"])
    receiver.answers = [503, 200, 0, 500, 200, 200, 429, 0, 200]
    delivery = Delivery(Webhook(receiver.url), queue, first_wait=0.01, longest_wait=0.05)
    with running(delivery):
        for number in range(30):
            queue.put(Message(f"{number:02}", "inspection", "{}"))
        wait_until(lambda: delivery.state()["queued"] == 0)
    assert list(dict.fromkeys(receiver.ids)) == [f"{number:02}" for number in range(30)]
    assert len(receiver.ids) == 32  # two answers were lost: these came twice, by the same id
    assert receiver.ids == sorted(receiver.ids)
    database.close()


def test_a_receiver_that_is_down_for_a_while(tmp_path):
    database = WatchDatabase(tmp_path / "watch.db")
    queue = OutletQueue(database, ["webhook"])
    first = Receiver()
    first.close()
    with running(Delivery(Webhook(first.url), queue, first_wait=0.05, longest_wait=0.1)) as sent:
        for number in range(5):
            queue.put(Message(f"{number}", "inspection", "{}"))
        assert "refused" in wait_until(lambda: sent.state()["failure"])
        taken = []

        class Late(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", first.port), Late) as late:
            threading.Thread(target=late.serve_forever, daemon=True).start()
            wait_until(lambda: sent.state()["queued"] == 0)
            late.shutdown()
        assert wait_until(lambda: sent.state()["failure"] == "")
    assert [message["id"] for message in taken] == list("01234")
    database.close()


def test_tls_is_checked(tmp_path):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    try:
        subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl, which makes the certificate, is not installed")
    receiver = Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    receiver._server.socket = context.wrap_socket(receiver._server.socket, server_side=True)
    url = receiver.url.replace("http://", "https://")
    with pytest.raises(Undelivered, match="CERTIFICATE_VERIFY_FAILED"):
        Webhook(url).send(RESULT)
    Webhook(url, authority=tmp_path / "cert.pem").send(RESULT)
    assert receiver.ids == ["01J"]
    receiver.close()
    with pytest.raises(StationError, match="holds no certificates"):
        Webhook(url, authority=tmp_path / "key.pem")
    with pytest.raises(StationError, match="holds no certificates"):
        Webhook(url, authority=tmp_path / "none.pem")


@pytest.mark.parametrize(
    "url",
    [
        *("mes.example/results", "file:///etc/passwd", "http://", "http://a:b@mes.example/"),
        *("http://mes.example:99999/", "http://[::1/", "http://mes.example/a b", "http://ä.de/"),
        *("http://mes.example/\r\nX: y", "", "javascript:alert(1)"),
    ],
)
def test_addresses_that_cannot_be(url):
    with pytest.raises(StationError, match="webhook"):
        Webhook(url)


def test_secrets_that_cannot_be(tmp_path, secret, caplog):
    (tmp_path / "empty").touch()
    for name in ("empty", "none", "."):
        with pytest.raises(StationError, match="for the webhook's secret"):
            Webhook("http://mes.example/", tmp_path / name)
    secret.chmod(0o644)
    Webhook("http://mes.example/", secret)
    assert "chmod 600" in caplog.text
