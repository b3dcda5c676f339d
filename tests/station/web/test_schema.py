"""What is answered to made-up requests is what the OpenAPI document says: by schemathesis."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest

from patchcore_dual.station.web import security
from patchcore_dual.station.web.tokens import Tokens

# The stream of events has no end; it has tests of its own.
OPTIONS = (
    *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
    *("--exclude-path", "/v1/events", "--continue-on-failure", "--suppress-health-check", "all"),
    *("--max-examples", "8", "--generation-deterministic", "--no-color", "--request-timeout", "60"),
    *("--report", "ndjson"),
)
# What a schema cannot say is refused though it fits: bytes that are no image, two ways to set a
# threshold at once, a time far from ours, masks that are no picture, a name that is no tag.
CONFIG = """
[parameters]
"path.name" = "part"
"path.id" = {id}
"path.run" = "poisson"
"path.key" = {key}

[checks]
positive_data_acceptance.expected-statuses = [
    "2xx", "3xx", 400, 401, 403, 404, 409, 410, 415, 422, 429, 503
]
"""


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_every_route_keeps_to_its_description(settings, serve, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(security, "_ATTEMPTS", 10**9)
    token = Tokens(settings.data).create("fuzzer", "teach")
    client = serve(replace(settings, ask_token=True), token)
    record = client.inspect(pictures.defect).json()
    images = client.get("/v1/models/part/training-images").json()["items"]
    key = images[0]["link"].rpartition("/")[2].removesuffix(".png")
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(id=json.dumps(record["id"]), key=json.dumps(key)))
    before = sorted(path.name for path in tmp_path.iterdir())
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
            f"http://127.0.0.1:{client.port}/openapi.json",
            *("-H", f"Authorization: Bearer {token}", *OPTIONS),
        ],
        cwd=tmp_path / "data",
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2000:]
    assert client.inspect(pictures.good).status == 201
    assert sorted(path.name for path in tmp_path.iterdir()) == before
