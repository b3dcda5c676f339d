"""Runs measurements as subprocesses and keeps what each found, so that a run can be resumed."""

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
# Modules that run our own code.
OURS = ("data", "vectors", "ours", "ours_large", "flat_memory", "limit")


@dataclass(frozen=True)
class Measurement:
    """One subprocess: `performance.MODULE.FUNCTION(**arguments)`.

    Attributes:
        name: of its file among the results.
        by_peers: whether it runs in the peers' environment.
        limit_s: after so long it is ended, and the result is {"over_limit_s": limit_s}.
    """

    name: str
    module: str
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    by_peers: bool = False
    limit_s: float = 3600

    @property
    def runs_our_code(self) -> bool:
        return self.module in OURS or self.arguments.get("tool") in ("ours", "approximate")


class Runner:
    """Runs measurements, or takes their results from `folder` where nothing has changed since."""

    def __init__(self, folder: Path, peers: Path, fresh: bool) -> None:
        self.folder, self.peers, self.fresh = folder, peers, fresh
        self.failed: list[str] = []
        self._done: dict[str, dict[str, Any]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._code = _digest(REPOSITORY / "src")

    def __call__(self, measurement: Measurement) -> dict[str, Any]:
        """What it found; empty where it failed. In one run nothing is measured twice."""
        if measurement.name not in self._done:
            self._done[measurement.name] = self._kept_or_run(measurement)
        return self._done[measurement.name]

    def need(self, measurement: Measurement) -> dict[str, Any]:
        """The same for what others need: where it fails, the bench ends."""
        found = self(measurement)
        if not found:
            sys.exit(f"{measurement.name} failed, and the rest needs it.")
        return found

    def _kept_or_run(self, measurement: Measurement) -> dict[str, Any]:
        file = self.folder / f"{measurement.name}.json"
        asked = json.loads(json.dumps(measurement.arguments))
        code = _digest(HERE) + (self._code if measurement.runs_our_code else "")
        if file.is_file() and not self.fresh:
            kept = json.loads(file.read_text())
            # Data are made once: our code may change without changing them.
            same_code = kept["code"] == code or measurement.module in ("data", "vectors")
            if kept["arguments"] == asked and same_code:
                return kept["found"]
        print(f"{measurement.name} …", end="", flush=True, file=sys.stderr)
        started = time.perf_counter()
        found = self._run(measurement)
        print(f" {time.perf_counter() - started:.0f} s", file=sys.stderr)
        if found:
            kept = {"arguments": asked, "code": code, "found": found}
            file.write_text(json.dumps(kept, indent=1) + "\n")
        else:
            self.failed.append(measurement.name)
        return found

    def _run(self, measurement: Measurement) -> dict[str, Any]:
        python = str(self.peers) if measurement.by_peers else sys.executable
        threads = str(len(os.sched_getaffinity(0)))
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads),
        }
        command = [python, "-m", "performance.measure", measurement.module, measurement.function]
        try:
            done = subprocess.run(
                [*command, json.dumps(measurement.arguments)],
                capture_output=True,
                text=True,
                env=environment,
                timeout=measurement.limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f" ended after {measurement.limit_s:.0f} s", end="", file=sys.stderr)
            return {"over_limit_s": measurement.limit_s} if measurement.function == "fit" else {}
        except FileNotFoundError:
            print(f" there is no {python}: run make bench", end="", file=sys.stderr)
            return {}
        if done.returncode:
            print(f" failed:\n{done.stderr[-3000:]}", file=sys.stderr)
            return {}
        return json.loads(done.stdout.splitlines()[-1])


def _digest(folder: Path) -> str:
    """Tells one state of the source, a file or a folder, from another."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
