"""What the inspection station costs, bears, and keeps when it is killed.

    python benchmarks/station.py overhead MODEL IMAGES
    python benchmarks/station.py load MODEL IMAGES --seconds 300
    python benchmarks/station.py kills MODEL IMAGES --kills 30 [--database URL]

MODEL is copied and not changed; IMAGES is a folder of image files. Everything is measured over
HTTP on a station in a process of its own. Exits with 1 where a promise is broken.
"""

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

START_SECONDS = 120
SERVE = "from patchcore_dual.cli.main import main; main()"
MOST_OVERHEAD, MOST_P99 = 5.0, 3.0  # milliseconds; times the median


class Served:
    """A station in a process of its own."""

    def __init__(self, model: Path, folder: Path, database: str) -> None:
        self.port = _free_port()
        command = [sys.executable, "-c", SERVE, "serve", f"part={model}", "--port", str(self.port)]
        command += ["--data", str(folder / "data")]
        if database:
            command += ["--database", database]
        self.said = (folder / "serve.log").open("a")
        self.process = subprocess.Popen(command, stdout=self.said, stderr=self.said)
        begun = time.monotonic()
        while self.process.poll() is None and time.monotonic() < begun + START_SECONDS:
            try:
                if Sender(self.port).ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"the station did not start: see {folder / 'serve.log'}")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    @property
    def megabytes(self) -> float:
        """Memory held by the process."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024


class Sender:
    """One connection to a station, which is kept."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def ask(self, method: str, path: str, body: bytes | dict | None = None):
        headers = {}
        if isinstance(body, dict):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status, json.loads(content) if is_json else content, answer.headers

    def inspect(self, image: bytes):
        return self.ask("POST", "/v1/models/part/inspections", image)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def measure_overhead(served: Served, images: list[bytes], count: int) -> bool:
    """What a request takes beyond decoding and inspecting, in milliseconds."""
    sender, beyond, whole = Sender(served.port), [], []
    for number in range(count + 20):
        begun = time.perf_counter()
        status, record, _ = sender.inspect(images[number % len(images)])
        took = 1000 * (time.perf_counter() - begun)
        assert status == 201, record
        steps = record["milliseconds"]
        if number >= 20:  # the first ones meet compilers
            whole.append(took)
            beyond.append(took - steps["decode"] - steps["inspect"])
    median = statistics.median(beyond)
    print(f"whole request: median {statistics.median(whole):.1f} ms")
    print(f"beyond decoding and inspecting: median {median:.2f} ms, p90 {_at(beyond, 0.9):.2f} ms")
    return median < MOST_OVERHEAD


def bear_load(served: Served, images: list[bytes], seconds: float) -> bool:
    """Two senders as fast as they can while models are edited; then more than may wait."""
    end, lock = time.monotonic() + seconds, threading.Lock()
    took: list[float] = []
    statuses: Counter[int] = Counter()
    edits: Counter[str] = Counter()
    memory: list[float] = []

    def send(number: int) -> None:
        sender = Sender(served.port)
        while time.monotonic() < end:
            begun = time.perf_counter()
            status, answer, headers = sender.inspect(images[number % len(images)])
            with lock:
                statuses[status] += 1
                if status == 201:
                    took.append(1000 * (time.perf_counter() - begun))
                elif status != 503 or "Retry-After" not in headers:
                    print(status, answer)
            number += 1

    def edit() -> None:
        sender = Sender(served.port)
        while time.monotonic() < end:
            for name, path, body in _edits(sender, images):
                status, answer, _ = sender.ask("POST", path, body)
                edits[f"{name} {status}"] += 1
                if status not in (200, 409, 422):
                    print(name, status, answer)
                memory.append(served.megabytes)

    _run([lambda: send(0), lambda: send(1), edit])
    p50, p99 = _at(took, 0.5), _at(took, 0.99)
    print(f"{len(took)} inspections in {seconds:.0f} s: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print(f"answers {dict(statuses)}, edits {dict(edits)}")
    third = max(1, len(memory) // 3)
    parts = memory[:third], memory[third:-third] or memory, memory[-third:]
    first, middle, last = (statistics.mean(part) for part in parts)
    print(f"memory {first:.0f} MB in the first third, {middle:.0f} and {last:.0f} MB then")
    beyond = _beyond_the_bound(served, images)
    print(f"40 at once: {dict(beyond)}")
    is_clean = set(statuses) | set(beyond) <= {201, 503}
    return is_clean and p99 <= MOST_P99 * p50 and last < 1.05 * middle  # caches are full by then


def _edits(sender: Sender, images: list[bytes]):
    """Edits in turn: thresholds, a lesson and its undo."""
    yield "threshold", "/v1/models/part/thresholds", {"false_alarm_rate": random.uniform(0.02, 0.3)}
    altered = random.choice(images)
    status, record, _ = sender.inspect(altered)
    if status == 201:
        lesson = {"inspection": record["id"], "label": "good", "force": True}
        yield "lesson", "/v1/models/part/lessons", lesson
        yield "decision", f"/v1/inspections/{record['id']}/decision", {"label": "skip"}
    yield "undo", "/v1/models/part/undo", {"to": 1}


def _beyond_the_bound(served: Served, images: list[bytes]) -> Counter[int]:
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def send() -> None:
        sender = Sender(served.port)
        for image in images[:3]:
            status, _, headers = sender.inspect(image)
            with lock:
                statuses[status if status != 503 or "Retry-After" in headers else -503] += 1

    _run([send] * 40)
    return statuses


def survive_kills(
    model: Path, folder: Path, images: list[bytes], kills: int, database: str
) -> bool:
    """Everything that was acknowledged before one of many kills is there afterwards."""
    inspections: dict[str, str] = {}
    decisions: dict[str, str] = {}
    edits: dict[int, str] = {}
    for kill in range(kills):
        served, is_over = Served(model, folder, database), threading.Event()

        def send(number: int, served: Served = served, over: threading.Event = is_over) -> None:
            sender = Sender(served.port)
            while not over.is_set():
                try:
                    status, record, _ = sender.inspect(random.choice(images))
                    if status == 201:
                        inspections[record["id"]] = record["image"]
                        path = f"/v1/inspections/{record['id']}/decision"
                        if (
                            sender.ask("POST", path, {"label": "skip", "why": str(number)})[0]
                            == 200
                        ):
                            decisions[record["id"]] = str(number)
                except (OSError, http.client.HTTPException):
                    return

        def edit(served: Served = served, over: threading.Event = is_over) -> None:
            sender = Sender(served.port)
            while not over.is_set():
                try:
                    body = {"false_alarm_rate": round(random.uniform(0.02, 0.4), 3)}
                    status, done, _ = sender.ask("POST", "/v1/models/part/thresholds", body)
                    if status == 200 and done["changed"]:
                        edits[done["version"]] = done["fingerprint"]
                except (OSError, http.client.HTTPException):
                    return

        threads = [threading.Thread(target=one) for one in (lambda: send(0), lambda: send(1), edit)]
        for thread in threads:
            thread.start()
        before, begun = len(edits), time.monotonic()
        while len(edits) == before and time.monotonic() < begun + START_SECONDS:
            time.sleep(0.01)
        time.sleep(random.uniform(0, 3))
        served.kill()
        is_over.set()
        for thread in threads:
            thread.join()
        print(f"kill {kill + 1}: {len(inspections)} inspections, {len(edits)} edits", flush=True)
    return _check_all_is_there(model, folder, database, inspections, decisions, edits)


def _check_all_is_there(model, folder, database, inspections, decisions, edits) -> bool:
    served = Served(model, folder, database)
    sender, lost = Sender(served.port), []
    for id in inspections:
        status, record, _ = sender.ask("GET", f"/v1/inspections/{id}")
        if status != 200 or record["image"] != inspections[id]:
            lost.append(f"inspection {id}: {status}")
        elif id in decisions and (record["decision"] or {}).get("why") != decisions[id]:
            lost.append(f"decision on {id}")
    for id in random.sample(sorted(inspections), min(50, len(inspections))):
        if sender.ask("GET", f"/v1/inspections/{id}/image.png")[0] != 200:
            lost.append(f"image of {id}")
    versions = sender.ask("GET", "/v1/models/part/versions")[1]["versions"]
    logged, cursor = {}, ""
    while cursor is not None:
        page = sender.ask("GET", f"/v1/edits?limit=500{cursor and f'&cursor={cursor}'}")[1]
        logged |= {edit["version"]: edit["fingerprint"] for edit in page["items"]}
        cursor = page["next"]
    for number, fingerprint in edits.items():
        if versions[number - 1]["fingerprint"] != fingerprint:
            lost.append(f"version {number}")
        if logged.get(number) != fingerprint:
            lost.append(f"edit {number} in the log")
    served.stop()
    print(f"{len(inspections)} inspections, {len(decisions)} decisions and {len(edits)} edits were")
    print(f"acknowledged; {len(lost)} are lost", *lost[:10], sep="\n  ")
    return not lost


def _at(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _run(works) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("overhead", "load", "kills"))
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--database", default="", help="postgresql://… in place of SQLite")
    asked = parser.parse_args()
    images = [path.read_bytes() for path in sorted(asked.images.glob("*.*")) if path.is_file()]
    random.seed(0)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
        folder = Path(temporary)
        model = Path(shutil.copytree(asked.model, folder / "model"))
        if asked.what == "kills":
            is_kept = survive_kills(model, folder, images, asked.kills, asked.database)
        else:
            served = Served(model, folder, asked.database)
            if asked.what == "overhead":
                is_kept = measure_overhead(served, images, asked.count)
            else:
                is_kept = bear_load(served, images, asked.seconds)
            served.stop()
    print("kept" if is_kept else "BROKEN")
    sys.exit(not is_kept)


if __name__ == "__main__":
    main()
