"""Inspecting on Ray: what it costs beside plain processes, and what is left when things die.

    python benchmarks/cluster.py overhead MODEL IMAGES [--count 2000] [--rounds 3]
    python benchmarks/cluster.py memory MODEL IMAGES [--count 100000]
    python benchmarks/cluster.py deaths MODEL IMAGES [--count 1000] [--every 8]

`overhead` has plain processes and Ray inspect the same images in turns, on as many workers as there
are cores, and compares how long they take from the first shard that is ready to the last. `memory`
shows what the driver holds while it goes through many images. `deaths` needs root: three nodes of
Ray, each in a network namespace with an address of its own; a worker is killed every few seconds,
and a node in the middle. The rows have to be those of one process. Its nodes ask for the token that
`ray get-auth-token --generate` makes.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path

import psutil

from patchcore_dual.bulk.inspection import Job
from patchcore_dual.bulk.plan import make_plan
from patchcore_dual.bulk.run import inspect_all
from patchcore_dual.cluster.connection import open_executor
from patchcore_dual.data.results_folder import read_results
from patchcore_dual.data.to_inspect import images_to_inspect
from patchcore_dual.model import read_fingerprint
from patchcore_dual.utils.executor import Executor, InThisProcess

BRIDGE, NETWORK, PORT = "pcd0", "10.77.0", 6399


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["overhead", "memory", "deaths"])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, help="images, the folder's again and again")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=float, default=8, help="seconds between two deaths")
    options = parser.parse_args()
    found, _ = images_to_inspect([options.images])
    count = options.count or {"overhead": 2000, "memory": 100_000, "deaths": 1000}[options.what]
    images = list(islice(cycle(str(path.absolute()) for path in found), count))
    run = Inspecting(options.model.absolute(), images)
    if options.what == "overhead":
        overhead(run, options.rounds)
    elif options.what == "memory":
        memory(run)
    else:
        deaths(run, options.every)


class Inspecting:
    """The same images into one new folder after the other."""

    def __init__(self, model: Path, images: list[str]) -> None:
        self.job = Job({read_fingerprint(model): model})
        self.images = images
        self._top = tempfile.TemporaryDirectory(prefix="cluster-")
        self._number = 0

    def __call__(self, executor: Executor) -> Iterator[int]:
        """How many images a shard had, whenever one is written to `folder`."""
        self._number += 1
        self.folder = Path(self._top.name, str(self._number))
        (fingerprint,) = self.job.folders
        plan = make_plan(self.folder, {}, ((image, fingerprint) for image in self.images))
        for result in inspect_all(plan, self.job, executor):
            yield result.counts.total()


def seconds_each(run: Inspecting, executor: Executor) -> float:
    """Seconds for an image, from the first shard to the last."""
    begun, n_images = 0.0, 0
    for n in run(executor):
        if begun:
            n_images += n
        begun = begun or time.perf_counter()
    return (time.perf_counter() - begun) / n_images


def overhead(run: Inspecting, rounds: int) -> None:
    """Compare Ray with plain processes, in turns."""
    with open_executor() as processes, open_executor("auto") as on_ray:
        for number in range(rounds):
            plain, ray = seconds_each(run, processes), seconds_each(run, on_ray)
            other = psutil.getloadavg()[0]
            print(
                f"round {number + 1}: processes {1000 * plain:.2f} ms, Ray {1000 * ray:.2f} ms an "
                f"image on {processes.workers} workers, ratio {ray / plain:.3f} (load {other:.1f})",
                flush=True,
            )


def memory(run: Inspecting) -> None:
    """Show what this process holds as images go by."""
    process, done, shown = psutil.Process(), 0, 0
    begun = time.perf_counter()
    with open_executor("auto") as executor:
        for n in run(executor):
            done += n
            if done >= shown:
                rss = process.memory_info().rss / 2**20
                print(f"{done:7,} images, driver {rss:.1f} MiB", flush=True)
                shown = done + len(run.images) // 10
    print(f"{done:,} images, {done / (time.perf_counter() - begun):.0f} a second")


def deaths(run: Inspecting, every: float) -> None:
    """Kill workers and a node, and compare with one process."""
    for _ in run(InThisProcess()):
        pass
    expected = rows(run.folder)
    os.environ["RAY_AUTH_MODE"] = "token"
    with ExitStack() as stack:
        nodes = stack.enter_context(three_nodes())
        executor = stack.enter_context(open_executor(f"{NETWORK}.1:{PORT}"))
        killed: Counter[str] = Counter()
        stop = threading.Event()
        stack.callback(stop.set)
        threading.Thread(target=kill_workers, args=(every, killed, stop), daemon=True).start()
        done = 0
        lost = None
        for n in run(executor):
            done += n
            if done > len(run.images) // 2 and lost is None:
                lost = nodes[-1]
                kill_tree(lost)
                print(
                    f"a node is killed after {done:,} images, {killed['workers']} workers before",
                    flush=True,
                )
        stop.set()
        found = rows(run.folder)
    same = sum(found[at] == row for at, row in enumerate(expected)) if len(found) else 0
    print(
        f"{len(expected):,} images, {executor.workers} workers on three nodes, {killed['workers']} "
        f"workers and one node killed: {len(found):,} rows, {same:,} equal those of one process"
    )
    sys.exit(len(found) != len(expected) or same != len(expected))


def rows(folder: Path) -> list[dict[str, object]]:
    """The rows of a folder, without times."""
    return [
        {name: value for name, value in row.items() if not name.endswith("_ms")}
        for row in read_results(folder)
    ]


def kill_workers(every: float, killed: Counter[str], stop: threading.Event) -> None:
    """Kill a random worker now and then."""
    choice = random.Random(0)
    while not stop.wait(every):
        workers = [p for p in psutil.process_iter(["name"]) if p.info["name"].startswith("ray::W")]
        if workers:
            choice.choice(workers).kill()
            killed["workers"] += 1


@contextmanager
def three_nodes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """A cluster whose head is this machine, and two nodes with addresses of their own."""
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
    ray += ["--object-store-memory=100000000", "--disable-usage-stats"]
    started: list[subprocess.Popen[bytes]] = []
    try:
        ip(f"link add {BRIDGE} type bridge")
        ip(f"addr add {NETWORK}.1/24 dev {BRIDGE}")
        ip(f"link set {BRIDGE} up")
        head = [f"--node-ip-address={NETWORK}.1", "--include-dashboard=false"]
        started.append(begin([*ray, "--head", f"--port={PORT}", *head]))
        time.sleep(8)
        for number in (2, 3):
            name = f"pcd{number}"
            ip(f"netns add {name}")
            ip(f"link add {name} type veth peer name eth0 netns {name}")
            ip(f"link set {name} master {BRIDGE}")
            ip(f"link set {name} up")
            for command in (f"addr add {NETWORK}.{number}/24 dev eth0", "link set eth0 up"):
                ip(f"-n {name} {command}")
            ip(f"-n {name} link set lo up")
            address = [f"--address={NETWORK}.1:{PORT}", f"--node-ip-address={NETWORK}.{number}"]
            started.append(begin(["ip", "netns", "exec", name, *ray, *address]))
        time.sleep(8)
        yield started[1:]
    finally:
        for process in reversed(started):
            kill_tree(process)
        for number in (2, 3):
            ip(f"netns del pcd{number}", check=False)
        ip(f"link del {BRIDGE}", check=False)


def begin(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a process that says nothing."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started."""
    try:
        family = [
            *psutil.Process(process.pid).children(recursive=True),
            psutil.Process(process.pid),
        ]
    except psutil.NoSuchProcess:
        return
    for one in family:
        try:
            os.kill(one.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def ip(command: str, check: bool = True) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *command.split()], check=check, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
