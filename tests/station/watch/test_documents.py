"""What docs/station/ and deploy/ say is tried: curl, Python, the signature, the unit."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageOps

from patchcore_dual.station.watch.outlets import sign
from station.watch.conftest import put, wait_until

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/station/integrate.md").read_text("utf-8")
DEPLOY = ROOT / "deploy"
CURL = re.findall(r"^    (curl .*)$", PAGE, re.MULTILINE)
ID = re.search(r'"id": "(\w+)"', PAGE)[1]
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SERVE = "from patchcore_dual.cli.main import main; main()"


@pytest.fixture(scope="module")
def place(part_model, images, tmp_path_factory):
    """A folder with `part.png`, where a served station's address stands in `address`."""
    folder = tmp_path_factory.mktemp("place")
    # Mirrored, since an image of the test split may not be taught.
    ImageOps.mirror(Image.open(io.BytesIO(images[0]))).save(folder / "part.png")
    (folder / "token-header").write_text("Authorization: Bearer not-needed-here\n")
    (folder / "camera").mkdir()
    arguments = ["serve", f"bracket={part_model}", "--port", "0", "--watch", "camera"]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, *arguments, "--settle", "0.1"],
        cwd=folder,
        stderr=(folder / "log").open("wb"),
    )
    address = wait_until(
        lambda: re.search(r"http://127\.0\.0\.1:\d+", (folder / "log").read_text("utf-8")), 60
    )
    (folder / "address").write_text(address[0])
    wait_until(lambda: "ready" in _curl(f"curl -s {address[0]}/readyz", folder), 30)
    (folder / "id").write_text(json.loads(_curl(at(CURL[0], folder), folder))["id"])
    yield folder
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def _curl(line, folder):
    ran = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True)
    return ran.stdout


def at(text, place):
    text = text.replace("http://127.0.0.1:8000", (place / "address").read_text())
    return text.replace(ID, (place / "id").read_text()) if (place / "id").exists() else text


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", CURL)
def test_the_lines_of_curl_work(place, line):
    ran = subprocess.run(
        at(line.replace("curl ", "curl -sS --fail-with-body ", 1), place),
        **{"shell": True, "cwd": place, "capture_output": True, "text": True},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    if "-X POST" in line or "-F image" in line:
        assert json.loads(ran.stdout)["verdict"] in ("pass", "review", "reject")
    elif ".csv" in line:
        assert (place / "today.csv").read_text("utf-8").startswith("id,")
    elif "/metrics" not in line:
        json.loads(ran.stdout)


def test_there_are_lines_of_curl_for_each_way():
    assert len(CURL) >= 8


def test_the_python_of_a_client_runs(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    exec(at(PYTHON[0], place), names := {})
    assert names["result"]["verdict"] in ("pass", "review", "reject")
    assert (place / "overlay.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.startswith(names["result"]["verdict"])
    with pytest.raises(RuntimeError, match=r"^415: this is no image"):
        names["inspect"](b"no image")
    with pytest.raises(RuntimeError, match=r"^404: no model is called 'gear'"):
        names["inspect"](b"no image", model="gear")


def test_the_python_of_a_receiver_knows_what_is_genuine():
    exec(PYTHON[1], names := {})
    is_genuine, body, now = names["is_genuine"], b'{"id": "01J"}', int(time.time())
    assert is_genuine(body, sign(b"secret", body, now), b"secret")
    assert not is_genuine(body, sign(b"secret", body, now - 400), b"secret")
    assert not is_genuine(body, sign(b"other", body, now), b"secret")
    assert not is_genuine(body + b" ", sign(b"secret", body, now), b"secret")
    for forged in ("", "t=1", "v1=", f"t={now},v1=00", "t=x,v1=00"):
        assert not is_genuine(body, forged, b"secret")


def test_the_keys_of_the_answer_that_is_shown_are_those_that_come(place):
    shown = json.loads(re.search(r"```json\n(\{\n.*?)```", PAGE, re.DOTALL)[1])
    came = json.loads(_curl(at(CURL[0].replace("curl ", "curl -sS "), place), place))
    assert shown.keys() <= came.keys()
    assert shown["links"].keys() <= came["links"].keys()


def test_a_watched_folder_is_in_the_state(place, images):
    put(place / "camera", "monday/7.png", images[0])
    done = wait_until(lambda: list((place / "camera").glob("*/monday/7.png.inspection.json")))
    assert json.loads(done[0].read_bytes())["source"] == "watch:camera"
    state = json.loads(_curl(at("curl -sS http://127.0.0.1:8000/v1/state", place), place))
    (folder,) = state["watch"]["folders"]
    assert folder["folder"] == "camera"
    assert sum(folder["counts"].values()) == 1


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_is_one_that_systemd_takes(tmp_path):
    unit = (DEPLOY / "patchcore-dual.service").read_text("utf-8")
    program = "/opt/patchcore-dual/bin/patchcore-dual"
    assert unit.count(program) == 1
    path = tmp_path / "patchcore-dual.service"
    path.write_text(unit.replace(program, shutil.which("true")))
    ran = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_arguments_of_the_unit_and_of_the_container_are_options_of_serve():
    environment = (DEPLOY / "station.env").read_text("utf-8")
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    texts = [environment, compose["services"]["station"]["command"]]
    texts.append((DEPLOY / "patchcore-dual.service").read_text("utf-8"))
    ran = subprocess.run(
        [sys.executable, "-c", SERVE, "serve", "--help"],
        **{"capture_output": True, "text": True, "env": {**os.environ, "COLUMNS": "200"}},
    )
    for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", "\n".join(texts)):
        assert f"{option} " in ran.stdout, option


def test_the_files_of_the_container_are_there():
    station = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]["station"]
    context = (DEPLOY / station["build"]["context"]).resolve()
    file = context / station["build"]["dockerfile"]
    assert file.is_file()
    for line in file.read_text("utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            *copied, _ = line.split()[1:]
            assert all((context / path).exists() for path in copied)


def test_the_unit_finds_what_its_steps_make():
    steps = (ROOT / "docs/station/security.md").read_text("utf-8").partition("As a service")[2]
    unit = (DEPLOY / "patchcore-dual.service").read_text("utf-8")
    user = re.search(r"^User=(.*)$", unit, re.MULTILINE)[1]
    program, data = re.search(r"^ExecStart=(\S+) serve --data (\S+) ", unit, re.MULTILINE).groups()
    model = re.search(
        r"^STATION=(\S+) ", (DEPLOY / "station.env").read_text("utf-8"), re.MULTILINE
    )[1]
    assert f"sudo -u {user} {program} token create ada --role teach --data {data}" in steps
    assert f"sudo cp -r models/{Path(model).name} {Path(model).parent}/" in steps
    file = re.search(r"^EnvironmentFile=(.*)$", unit, re.MULTILINE)[1]
    assert f"-t {Path(file).parent} deploy/{Path(file).name}" in steps


def test_the_station_in_the_container_believes_its_proxy_alone():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    station, proxy = services["services"]["station"], services["services"]["proxy"]
    assert station["environment"]["FORWARDED_ALLOW_IPS"] == "*"
    assert (station["networks"], "ports" in station) == (["inside"], False)
    assert services["networks"]["inside"]["internal"]
    assert "inside" in proxy["networks"]
