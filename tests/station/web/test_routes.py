"""The routes, over a real port."""

import base64
import json
import os
import re
import socket
import sqlite3
import threading
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from live.appearances import reference_of, stream_of, usual
from patchcore_dual.model.ledger import system_user
from patchcore_dual.station.serving.drift import StationDrift

MULTIPART = "multipart/form-data; boundary=x"


def form(content, field="image", name="part.png"):
    head = f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n--x--\r\n"


def pixels(answer):
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "image/png"
    return cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_UNCHANGED)


def test_an_image_is_inspected_listed_and_shown(client, pictures):
    sent = client.inspect(pictures.defect, query={"name": "a.png"})
    assert sent.status == 201
    record = sent.json()
    assert sent.headers["Location"] == record["links"]["self"]
    again = client.inspect(form(pictures.good), headers={"Content-Type": MULTIPART}).json()
    assert again["name"] == "part.png"
    page = client.get("/v1/inspections").json()
    assert [one["id"] for one in page["items"]] == [again["id"], record["id"]]
    page = client.get("/v1/inspections", query={"verdict": ["reject", "review"]}).json()
    assert [one["id"] for one in page["items"]] == [record["id"]]
    assert client.get(record["links"]["self"]).json() == record
    size = (record["height"], record["width"])
    assert pixels(client.get(record["links"]["image"])).shape == (*size, 3)
    heat = pixels(client.get(record["links"]["map"]))
    assert heat.shape == size
    region = record["regions"][0]
    assert heat.argmax() // size[1] in range(region["y"], region["y"] + region["height"])
    assert pixels(client.get(record["links"]["overlay"])).shape == (*size, 3)
    assert pixels(client.get(record["links"]["nearest_defect"])).ndim == 3
    assert pixels(client.get(record["links"]["image"], query={"width": 32})).shape == (48, 32, 3)


def test_pages_go_on_where_the_one_before_ended(client, pictures):
    ids = [client.inspect(pictures.good).json()["id"] for _ in range(5)]
    found, query = [], {"limit": 2}
    while True:
        page = client.get("/v1/inspections", query=query).json()
        found += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert found == ids[::-1]


def test_exports_hold_every_inspection(client, pictures):
    ids = {client.inspect(pictures.good, query={"name": "=1+1"}).json()["id"] for _ in range(3)}
    lines = client.get("/v1/inspections.jsonl").body.splitlines()
    assert {json.loads(line)["id"] for line in lines} == ids
    table = client.get("/v1/inspections.csv", query={"model": "part"})
    assert table.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in table.headers["Content-Disposition"]
    assert len(table.body.splitlines()) == 4
    assert not client.get("/v1/inspections.jsonl", query={"model": "other"}).body


def test_a_decision_leaves_the_queue_and_comes_back(client, pictures):
    record = client.inspect(pictures.defect).json()
    path = f"{record['links']['self']}/decision"
    decided = client.post(path, {"label": "good", "why": "dust"}).json()
    assert decided["review"] == "done"
    assert decided["decision"]["by"] == system_user(), "as in the model's history"
    assert not client.get("/v1/inspections", query={"review": "open"}).json()["items"]
    image = client.station.images.path(record["image"])
    os.utime(image, (0, 0))
    assert client("DELETE", path).json()["review"] == "open"
    assert image.stat().st_mtime > 0, "retention spares what is to be reviewed again"
    good = client.inspect(pictures.good).json()
    assert client.post(f"{good['links']['self']}/review").json()["review"] == "open"


def test_a_lesson_is_shown_accepted_and_undone(client, pictures):
    record = client.inspect(pictures.defect).json()
    lesson = {"inspection": record["id"], "label": "defect", "force": True, "why": "missed"}
    shown = client.post("/v1/models/part/lessons", {**lesson, "dry_run": True})
    assert (shown.status, shown.json()["accepted"]) == (200, False)
    done = client.post("/v1/models/part/lessons", lesson)
    assert (done.status, done.json()["version"]) == (200, 2)
    assert client.get("/v1/models/part").json()["version"] == 2
    again = client.post("/v1/models/part/lessons", lesson)
    assert (again.status, again.code) == (422, "not_possible")
    assert "in the model already" in again.message
    versions = client.get("/v1/models/part/versions").json()
    assert [one["action"] for one in versions["versions"]] == ["fit", "teach"]
    assert client.post("/v1/models/part/undo", {"why": "no"}).json()["now"] == 1
    assert client.post("/v1/models/part/tags", {"tag": "approved"}).json()["tags"] == {
        "approved": 1
    }
    compared = client.get("/v1/models/part/compare", query={"a": "1", "b": "2"}).json()
    assert compared["logged"]["n"] == 1
    edits = client.get("/v1/edits").json()["items"]
    assert [edit["action"] for edit in edits] == ["tag", "undo", "teach"]


def test_an_edit_that_costs_too_much_is_409_with_its_figures(client):
    goods = client.station.model("part").detector.model.calibration.normals
    removal = {"images": list(goods[:2])}
    shown = client.post("/v1/models/part/removals", {**removal, "dry_run": True})
    answer = client.post("/v1/models/part/removals", removal)
    assert (shown.status, answer.status) == (200, 409)
    assert answer.json()["refusals"]
    assert answer.json() == shown.json()
    assert not answer.json()["accepted"]


def test_a_training_image_is_taken_out(client):
    images = client.get("/v1/models/part/training-images").json()["items"]
    name = next(one["image"] for one in images if one["is_in_model"])
    removal = {"images": [name], "why": "mislabelled", "force": True}
    shown = client.post("/v1/models/part/removals", {**removal, "dry_run": True})
    assert (shown.status, shown.json()["accepted"]) == (200, False)
    done = client.post("/v1/models/part/removals", removal)
    assert (done.status, done.json()["version"], done.json()["removed"]) == (200, 2, [name])
    again = client.post("/v1/models/part/removals", removal)
    assert (again.status, again.code) == (422, "not_possible")
    assert f"no training image {name}" in again.message
    assert client.post("/v1/models/part/removals", {"images": []}).code == "not_valid"
    assert client.post("/v1/models/other/removals", removal).code == "unknown_model"
    assert client.post("/v1/models/part/undo", {}).json()["now"] == 1


def test_a_region_is_shown_and_narrowed(client, pictures):
    record = client.inspect(pictures.good).json()
    top = np.zeros((record["height"], record["width"]), np.uint8)
    top[: len(top) // 6] = 255
    mask = base64.b64encode(cv2.imencode(".png", top)[1]).decode()
    said = {"inspection": record["id"], "ignore": mask, "why": "a clamp"}
    shown = client.post("/v1/models/part/region", {**said, "dry_run": True})
    assert (shown.status, shown.json()["accepted"]) == (200, False)
    query = {"inspection": record["id"]}
    assert pixels(client.get("/v1/models/part/region.png", query=query)).min() == 255
    done = client.post("/v1/models/part/region", {**said, "force": True})
    assert (done.status, done.json()["changed"]) == (200, True)
    seen = pixels(client.get("/v1/models/part/region.png", query=query))
    assert np.array_equal(seen, 255 - top)
    share = client.get("/v1/models/part").json()["inspected_share"]
    assert share == done.json()["effects"]["share inspected"][1]
    again = client.post("/v1/models/part/region", said)
    assert (again.status, again.code) == (422, "not_possible")
    assert client.post("/v1/models/part/region", {**said, "ignore": "§"}).status == 422
    (edit,) = client.get("/v1/edits").json()["items"]
    assert (edit["action"], edit["why"], edit["inspection"]) == ("region", "a clamp", record["id"])
    assert client.post("/v1/models/part/undo", {}).json()["fingerprint"] == record["fingerprint"]
    assert pixels(client.get("/v1/models/part/region.png", query=query)).min() == 255
    client.station.images.path(record["image"]).unlink()
    assert client.get("/v1/models/part/region.png", query=query).status == 410
    assert client.post("/v1/models/part/region", said).status == 410


def test_thresholds_training_images_state_and_figures(client, pictures):
    client.inspect(pictures.good)
    shown = client.post("/v1/models/part/thresholds", {"recall": 0.9, "dry_run": True})
    assert shown.json()["accepted"] is False
    two = client.post("/v1/models/part/thresholds", {"recall": 0.9, "false_alarm_rate": 0.1})
    assert (two.status, two.code) == (422, "not_possible")
    images = client.get("/v1/models/part/training-images").json()
    assert pixels(client.get(images["items"][0]["link"])).ndim == 3
    assert client.get("/v1/counts").json() == {"pass": 1, "review": 0, "reject": 0}
    assert client.get("/v1/state").json()["drift"] == {"status": "not measured"}
    figures = client.get("/metrics").body.decode()
    assert re.search(r'inspections_total\{model="part",source="api",verdict="pass"\} 1\.0', figures)
    for name in ("queue_waiting", "inspection_seconds_bucket", "drift_is_measured"):
        assert f"patchcore_dual_{name}" in figures
    assert 'patchcore_dual_drift_is_measured{model="part"} 0.0' in figures
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready", "problems": []}


def test_drift_is_in_the_state_the_figures_and_a_picture(client, tmp_path):
    none = client.get("/v1/models/part/drift.png")
    assert (none.status, none.code) == (409, "not_possible")
    random = np.random.default_rng(0)
    drift = StationDrift(reference_of(usual(random, 50)), tmp_path / "part.json")
    served = client.station.models["part"]
    served.in_use = served.in_use._replace(drift=drift)
    for one in stream_of(usual(random, 50, mean=40)):
        drift.add(SimpleNamespace(appearance=one, verdict="pass"))
    state = client.get("/v1/state").json()
    assert state["drift"] == {"status": "drifting"}
    assert "teach about 20 good images" in state["models"][0]["drift"]["advice"]
    assert 'drift_is_found{model="part"} 1.0' in client.get("/metrics").body.decode()
    assert pixels(client.get("/v1/models/part/drift.png")).ndim == 3


def events_of(client, count, **headers):
    """The first events of the stream, as (kind, values)."""
    text = client.get("/v1/events", query={"limit": count}, headers=headers).body.decode()
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"]), lines.get("id")))
    return found


def test_events_resume_where_they_were_cut_off(client, pictures):
    first, *others = [client.inspect(pictures.good).json()["id"] for _ in range(3)]
    found = events_of(client, 3, **{"Last-Event-ID": first})
    assert [kind for kind, *_ in found] == ["state", "inspection", "inspection"]
    assert [id for *_, id in found[1:]] == others


def test_events_end_where_those_missed_cannot_be_read(client, settings):
    database = sqlite3.connect(settings.data / "station.db")
    database.execute("ALTER TABLE inspections RENAME TO away")
    missed = {"Last-Event-ID": "0" * 26}
    assert [kind for kind, *_ in events_of(client, 9, **missed)] == ["state"]
    database.execute("ALTER TABLE away RENAME TO inspections")
    database.close()


def test_a_full_disk_is_said(settings, serve):
    """There is no room for the largest image that is taken."""
    client = serve(replace(settings, limits=replace(settings.limits, max_bytes=2**60)))
    answer = client.get("/readyz")
    assert (answer.status, answer.code) == (503, "disk_full")
    assert client.get("/healthz").status == 200


def test_events_come_as_they_happen(client, pictures):
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream = connection.makefile("rb")
        while not stream.readline().startswith(b"event: state"):
            pass
        record = client.inspect(pictures.defect).json()
        client.post(f"{record['links']['self']}/decision", {"label": "skip"})
        kinds = []
        while len(kinds) < 2:
            line = stream.readline()
            if line.startswith(b"event: "):
                kinds.append(line.split()[1])
    assert kinds == [b"inspection", b"decision"]


def test_errors_are_clear(client, pictures):
    for answer, status, code in (
        (client.get("/nowhere"), 404, "not_found"),
        (client("PATCH", "/v1/models"), 405, "wrong_method"),
        (client.inspect(pictures.good, model="other"), 404, "unknown_model"),
        (client.inspect(b"<html>"), 415, "not_an_image"),
        (client.inspect(b""), 400, "bad_request"),
        (client.inspect(pictures.good[:900]), 422, "damaged_image"),
        (client.inspect(bytes(2**20 + 1)), 413, "too_large"),
        (client.inspect(bytes(2**21)), 413, "too_large"),
        (client.inspect(b"--y", headers={"Content-Type": MULTIPART}), 400, "bad_request"),
        (
            client.inspect(form(b"x", field="x"), headers={"Content-Type": MULTIPART}),
            400,
            "bad_request",
        ),
        (client.inspect(b"", headers={"Content-Type": "multipart/form-data"}), 400, "bad_request"),
        (client.get("/v1/inspections", query={"limit": 501}), 422, "not_valid"),
        (client.get("/v1/inspections", query={"cursor": "x"}), 422, "not_valid"),
        (client.get("/v1/inspections", query={"min_score": "nan"}), 422, "not_valid"),
        (client.get("/v1/inspections", query={"since": "2026-11-26T00:00:00"}), 422, "not_valid"),
        (client.get("/v1/inspections/7ZZZZZZZZZZZZZZZZZZZZZZZZZ"), 404, "not_found"),
        (client.get("/v1/inspections/..%2f..%2fetc"), 404, "not_found"),
        (client.get("/v1/models/..%2f/versions"), 404, "not_found"),
        (client.get("/v1/models/..../versions"), 422, "not_valid"),
        (client.post("/v1/models/part/undo", {}), 409, "model"),
        (client.post("/v1/models/part/undo", {"to": 7}), 409, "model"),
        (client.post("/v1/models/part/tags", {"tag": "../x"}), 422, "not_possible"),
        (client.post("/v1/models/part/lessons", {}), 422, "not_valid"),
        (client.get("/page/../../settings.py"), 404, "not_found"),
        (client.get("/page/..%2f..%2fsettings.py"), 404, "not_found"),
    ):
        assert (answer.status, answer.code) == (status, code), answer.body
        assert answer.message
    assert client.inspect(pictures.good).status == 201


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"region": "1,2,3"}, "region: this has not the right form; /openapi.json has an example."),
        ({"since": "today"}, "since: give a time with a time zone, as 2026-11-26T06:00:00Z"),
        ({"verdit": "reject"}, "there is no filter 'verdit'. Filters: model, verdict, review, "),
    ],
)
@pytest.mark.parametrize("path", ["/v1/inspections", "/v1/inspections.csv"])
def test_wrong_filters_are_said_in_words(client, path, query, message):
    answer = client.get(path, query=query)
    assert (answer.status, answer.code) == (422, "not_valid")
    assert answer.message.startswith(message)


def test_names_from_outside_are_no_paths(client, pictures, tmp_path):
    before = {p for p in tmp_path.rglob("*") if client.station.settings.data not in p.parents}
    for name in ("../../../x.png", "/etc/passwd", "C:\\x", "a\0b", "x" * 255, "\u202e.png"):
        answer = client.inspect(pictures.good, query={"name": name})
        assert answer.status == 201, answer.body
        assert "\0" not in answer.json()["name"]
    quoted = form(pictures.good, name="../../x.png")
    assert client.inspect(quoted, headers={"Content-Type": MULTIPART}).status == 201
    after = {p for p in tmp_path.rglob("*") if client.station.settings.data not in p.parents}
    assert after == before


def test_a_full_queue_is_503_with_retry_after(settings, serve, pictures):
    client = serve(replace(settings, limits=replace(settings.limits, queue=1)))
    go = threading.Event()
    client.station.inspector.submit(go.wait)
    while client.station.inspector.waiting:
        pass
    client.station.inspector.submit(lambda: None)
    answer = client.inspect(pictures.good)
    go.set()
    assert (answer.status, answer.code) == (503, "queue_full")
    assert int(answer.headers["Retry-After"]) >= 1


def test_every_route_is_described_with_an_example(client):
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]

    def has_example(content):
        return all(
            "example" in one
            or "examples" in one
            or "examples" in schemas.get(one["schema"].get("$ref", "").rpartition("/")[2], {})
            for one in content.values()
        )

    count = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = f"{method} {path}"
            count += 1
            assert operation["summary"], place
            for status, answer in operation["responses"].items():
                assert has_example(answer["content"]), f"{place}: {status}"
            if "requestBody" in operation:
                assert has_example(operation["requestBody"]["content"]), place
            for parameter in operation.get("parameters", ()):
                found = parameter["schema"].get("examples") or parameter.get("example")
                assert found, f"{place}: {parameter['name']}"
    assert count >= 30


@pytest.mark.parametrize("path", ["/v1/models", "/nowhere", "/v1/inspections?limit=0"])
def test_every_answer_has_the_security_headers(client, path):
    headers = client.get(path).headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in headers
