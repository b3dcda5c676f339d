"""A station in a process of its own, as `patchcore-dual serve` starts it, on demo parts."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

COMMAND = "from patchcore_dual.cli.main import main; main()"
SOURCE = Path(__file__).parents[3] / "src"
STARTS = 90  # seconds that a start may take on a busy machine


@dataclass
class RunningStation:
    """A station that runs until it is stopped, and can be killed and started again."""

    model: Path
    data: Path
    options: tuple[str, ...] = ()
    token: str = ""
    port: int = field(default_factory=lambda: _free_port())
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A command of PatchCoreDual, started."""
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            env={**environment, "NUMBA_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def start(self) -> None:
        options = ("--port", str(self.port), "--data", str(self.data), *self.options)
        self.process = self.command("serve", f"bracket={self.model}", *options)
        end = time.monotonic() + STARTS
        while time.monotonic() < end:
            assert self.process.poll() is None, self.process.communicate()[0].decode()
            try:
                if self.ask("GET", "/healthz") is not None:
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the station does not answer")

    def freeze(self, frozen: bool) -> None:
        """Let it hang as a machine that lost its network does, or go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.freeze(False)
            self.process.kill()
            self.process.wait()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the station answers, as a program asks it; bytes are an image."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        is_image = isinstance(body, bytes)
        headers = {"Content-Type": "application/octet-stream" if is_image else "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        connection.request(method, path, body if is_image else json.dumps(body), headers)
        answer = connection.getresponse()
        content = json.loads(answer.read() or b"null")
        connection.close()
        assert answer.status < 400, content
        return content

    def inspect(self, image: bytes, name: str) -> dict[str, Any]:
        """Inspect an image as a line does."""
        return dict(self.ask("POST", f"/v1/models/bracket/inspections?name={quote(name)}", image))

    def version(self) -> int:
        """The version of the model that is in use."""
        return int(self.ask("GET", "/v1/models/bracket/versions")["in_place"])


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
