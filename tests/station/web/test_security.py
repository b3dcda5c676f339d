"""Tokens, roles, browsers, slow clients and hostile images."""

import io
import json
import os
import select
import socket
import stat
import time
import zlib
from contextlib import suppress
from dataclasses import replace

import pytest
from PIL import Image

from patchcore_dual.errors import SettingsError, StationError
from patchcore_dual.station.settings import Limits, WatchedFolder, parse_models
from patchcore_dual.station.web import server
from patchcore_dual.station.web.security import COOKIE, Attempts
from patchcore_dual.station.web.tokens import Tokens

PAGE = {"X-Requested-With": "patchcore-dual"}


@pytest.fixture
def tokens(settings):
    return Tokens(settings.data)


@pytest.fixture
def guarded(settings, serve, tokens):
    """A station that asks for tokens, a token of each role, and a client of it."""
    made = {role: tokens.create(role, role) for role in ("read", "inspect", "teach")}
    client = serve(replace(settings, ask_token=True))
    client.tokens = made
    return client


def as_role(client, role):
    return {"Authorization": f"Bearer {client.tokens[role]}"}


def test_roles_allow_what_they_say(guarded, pictures):
    routes = (
        ("read", lambda h: guarded.get("/v1/models", headers=h)),
        ("read", lambda h: guarded.get("/metrics", headers=h)),
        ("read", lambda h: guarded.get("/openapi.json", headers=h)),
        ("read", lambda h: guarded.get("/v1/events", headers=h, query={"limit": 1})),
        ("inspect", lambda h: guarded.inspect(pictures.good, headers=h)),
        ("teach", lambda h: guarded.post("/v1/models/part/undo", {}, headers=h)),
        ("teach", lambda h: guarded.post("/v1/models/part/tags", {"tag": "a"}, headers=h)),
    )
    order = ("read", "inspect", "teach")
    for needed, call in routes:
        assert call({}).status == 401
        for role in order:
            is_allowed = order.index(role) >= order.index(needed)
            assert (call(as_role(guarded, role)).status == 403) != is_allowed
    for path in ("/healthz", "/readyz", "/v1/session"):
        assert guarded.get(path).status == 200


def test_who_edits_is_the_tokens_name(guarded):
    headers = as_role(guarded, "teach")
    guarded.post("/v1/models/part/tags", {"tag": "approved"}, headers=headers)
    (edit,) = guarded.get("/v1/edits", headers=headers).json()["items"]
    assert edit["by"] == "teach"


def test_tokens_are_hashed_and_private(tokens):
    token = tokens.create("camera", "inspect")
    text = tokens.path.read_text()
    assert token not in text
    assert token.removeprefix("pcd_") not in text
    assert stat.S_IMODE(os.stat(tokens.path).st_mode) == 0o600
    assert [one["name"] for one in tokens.all()] == ["camera"]
    with pytest.raises(SettingsError, match="already"):
        tokens.create("camera", "read")
    for name in ("", "../x", "a\nb", "x" * 65):
        with pytest.raises(SettingsError):
            tokens.create(name, "read")
    tokens.remove("camera")
    assert tokens.find(token) is None
    with pytest.raises(SettingsError, match="Tokens: none"):
        tokens.remove("camera")
    tokens.path.write_text("[1]")
    with pytest.raises(StationError, match="damaged"):
        tokens.all()


def test_a_removed_token_is_refused_within_a_second(guarded, tokens):
    headers = as_role(guarded, "read")
    assert guarded.get("/v1/models", headers=headers).status == 200
    tokens.remove("read")
    time.sleep(1.1)
    assert guarded.get("/v1/models", headers=headers).status == 401


def test_a_damaged_file_of_tokens_is_said_and_can_be_mended(guarded, tokens):
    headers, text = as_role(guarded, "read"), tokens.path.read_bytes()
    for damaged in (text[:-9], text.replace(b'"read"', b'"admin"')):
        tokens.path.write_bytes(damaged)
        time.sleep(1.1)
        for _ in range(2):
            answer = guarded.get("/v1/models", headers=headers)
            assert (answer.status, answer.code) == (503, "unavailable")
            assert "damaged" in answer.message
        tokens.path.write_bytes(text)
        assert guarded.get("/v1/models", headers=headers).status == 200


def test_every_hash_is_compared_in_constant_time(tokens, monkeypatch):
    import hmac

    made = [tokens.create(name, "read") for name in "abc"]
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or real(a, b))
    for token in (made[0], made[2], "wrong"):
        compared.clear()
        tokens.find(token)
        assert len(compared) == 3


def test_wrong_tokens_are_rate_limited(guarded):
    wrong = {"Authorization": "Bearer pcd_guess"}
    answers = [guarded.get("/v1/models", headers=wrong) for _ in range(11)]
    assert [answer.status for answer in answers] == [401] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert guarded.post("/v1/session", {"token": "pcd_guess"}).status == 429
    assert guarded.get("/healthz").status == 200


def test_attempts_are_forgotten_in_time():
    attempts = Attempts(most=1, seconds=0.05)
    attempts.wrong("a")
    assert attempts.wait("a") > 0
    time.sleep(0.06)
    assert attempts.wait("a") == 0


def test_a_page_signs_in_by_a_cookie_that_no_script_sees(guarded, pictures):
    answer = guarded.post("/v1/session", {"token": guarded.tokens["teach"]})
    assert answer.json() == {"needs_token": True, "name": "teach", "role": "teach"}
    cookie = answer.headers["Set-Cookie"]
    for part in (COOKIE, "HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    signed_in = {"Cookie": cookie.partition(";")[0]}
    assert guarded.get("/v1/models", headers=signed_in).status == 200
    assert guarded.get("/v1/session", headers=signed_in).json()["role"] == "teach"
    forged = guarded.post("/v1/models/part/tags", {"tag": "a"}, headers=signed_in)
    assert (forged.status, forged.code) == (403, "not_allowed")
    written = guarded.post("/v1/models/part/tags", {"tag": "a"}, headers={**signed_in, **PAGE})
    assert written.status == 200
    assert guarded("DELETE", "/v1/session", headers={**signed_in, **PAGE}).json()["role"] is None
    assert guarded.post("/v1/session", {"token": "wrong"}).status == 401


@pytest.mark.parametrize("said", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "none"}])
def test_another_page_cannot_write_on_this_pc(client, pictures, said):
    assert client.inspect(pictures.good, headers=said).status == 403
    assert client.get("/v1/inspections").json()["items"] == []
    assert client.inspect(pictures.good, headers={**said, **PAGE}).status == 201


def test_another_name_is_refused_without_tokens(client):
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::2]:80", "lan"):
        answer = client.get("/v1/models", headers={"Host": host})
        assert (answer.status, answer.code) == (403, "not_allowed")
    for host in ("localhost", "127.0.0.1:9", "127.0.0.2", "[::1]:80", "LOCALHOST"):
        assert client.get("/v1/models", headers={"Host": host}).status == 200


def test_beyond_this_pc_a_token_has_to_be_there(settings, tokens):
    with pytest.raises(StationError, match="patchcore-dual token create"):
        server.check_tokens(replace(settings, host="0.0.0.0"))
    tokens.create("ada", "teach")
    server.check_tokens(replace(settings, host="0.0.0.0"))
    assert not replace(settings, host="::1").needs_token
    assert not replace(settings, host="localhost").needs_token
    assert replace(settings, host="station.example").needs_token


def test_a_port_in_use_is_said(settings):
    with server.listen(settings) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(StationError, match=f"port {port}"):
            server.listen(replace(settings, port=port))
    with pytest.raises(StationError, match="cannot listen"):
        server.listen(replace(settings, host="192.0.2.1"))


def raw(client, content):
    """What the station answers to bytes on a connection, until it closes it."""
    connection = socket.create_connection(("127.0.0.1", client.port), timeout=10)
    with connection, suppress(ConnectionError):  # closed while there was more to come
        connection.sendall(content)
        return connection.makefile("rb").read()
    return b""


def test_slow_bodies_and_heads_are_given_up(settings, serve, pictures, monkeypatch):
    monkeypatch.setattr(server, "_HEADER_SECONDS", 0.5)
    client = serve(replace(settings, limits=replace(settings.limits, max_seconds=0.5)))
    head = b"POST /v1/models/part/inspections HTTP/1.1\r\nHost: localhost\r\n"
    slow = raw(client, head + b"Content-Length: 100\r\n\r\nabc")
    assert slow.startswith(b"HTTP/1.1 408")
    assert b"too_slow" in slow
    assert raw(client, head) == b""
    assert raw(client, b"") == b""
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        answers = connection.makefile("rb")
        for _ in range(2):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while not answers.readline().startswith(b"content-length"):
                pass
        time.sleep(0.6)  # a connection may be quiet between two requests
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        begun = time.monotonic()
        answers.read()
        assert time.monotonic() - begun < 5, "a later head has to come in time as the first does"
    assert client.get("/healthz").status == 200


def test_what_arrives_is_held_up_to_a_limit(settings, serve, pictures):
    client = serve(replace(settings, limits=replace(settings.limits, queue=1)))
    head = b"POST /v1/models/part/inspections HTTP/1.1\r\nHost: localhost\r\n"
    body = b"Content-Length: 1000000\r\n\r\n" + bytes(990_000)
    senders = []
    for _ in range(20):
        senders.append(socket.create_connection(("127.0.0.1", client.port), timeout=10))
        with suppress(ConnectionError):
            senders[-1].sendall(head + body)
    ready, _, _ = select.select(senders, [], [], 10)
    assert 0 < len(ready) < len(senders)
    answer = ready[0].recv(4096)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in answer.lower()
    for sender in senders:
        sender.close()
    deadline = time.monotonic() + 20
    while client.inspect(pictures.good).status != 201:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "request_",
    [
        b"\0\1\2\r\n\r\n",
        b"GET / HTTP/x\r\n\r\n",
        b"POST /v1/models/part/inspections HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST /v1/models/part/inspections HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: -1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 300_000,
    ],
)
def test_damaged_requests_are_400(client, request_):
    assert raw(client, request_).split()[1:2] in ([b"400"], [])
    assert client.get("/healthz").status == 200


def bomb():
    """A PNG of 30,000 by 30,000 pixels in a few kilobytes."""
    import struct

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(3751 * 300))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_hostile_images_are_refused_or_read_as_images(client, pictures):
    small = Image.new("RGB", (40, 30), "grey")
    one = Image.new("L", (1, 1))
    pages = saved(one, "TIFF", save_all=True, append_images=[one] * 1200)
    for content, status in (
        (bomb(), 413),
        (b"<script>alert(1)</script>" + pictures.good, 415),
        (saved(small, "GIF"), 415),
        (saved(small, "PDF"), 415),
        (pages, 422),
        (pages[:1000], 415),
        (b"PK\3\4" + pictures.good, 415),
        (b"\xff\xd8\xff" + bytes(50), 415),
        (saved(small, "PNG")[:-40], 422),
        (b"II*\0\x08\0\0\0" + b"\xff" * 40, 415),
    ):
        answer = client.inspect(content)
        assert answer.status == status, (content[:30], answer.body)
    # An image with something else behind it is an image; what is sent back of it is pixels alone.
    polyglot = client.inspect(pictures.good + b"<script>alert(1)</script>PK\3\4")
    assert polyglot.status == 201
    assert b"<script>" not in client.get(polyglot.json()["links"]["image"]).body
    for kind in ("JPEG", "BMP", "TIFF", "WEBP", "PPM"):
        assert client.inspect(saved(small, kind)).status == 201
    assert client.get("/healthz").status == 200


def test_nobody_has_much_read_before_they_are_known(guarded):
    answer = guarded.post("/v1/session", {"token": "x" * 3 * 2**20})
    assert (answer.status, answer.code) == (413, "too_large")


def test_deep_json_is_an_error_of_the_sender(client):
    answer = client.post(
        "/v1/models/part/undo",
        b"[" * 100_000 + b"]" * 100_000,
        headers={"Content-Type": "application/json"},
    )
    assert 400 <= answer.status < 500
    answer = client.post(
        "/v1/models/part/undo",
        json.dumps({"why": "\ud800"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status in (409, 422)


def test_settings_that_cannot_be_are_refused(settings, tmp_path):
    for changes in (
        {"models": {}},
        {"models": {"../x": tmp_path}},
        {"port": 70_000},
        {"keep_days": 0.0},
        {"keep_bytes": -1},
        {"watched": (WatchedFolder(tmp_path, "other"),)},
    ):
        with pytest.raises(SettingsError):
            replace(settings, **changes)
    with pytest.raises(SettingsError, match="queue"):
        Limits(queue=0)
    with pytest.raises(SettingsError, match="settle"):
        WatchedFolder(tmp_path, "part", settle=float("nan"))
    with pytest.raises(SettingsError, match="two models"):
        parse_models(["a/x", "b/x"])
