"""The time of an inspection and of its network alone, of models at both precisions.

    python benchmarks/engines.py time MODEL IMAGES...             # in this environment
    python benchmarks/engines.py compare IMAGES --models M32 M8 --python OTHER/bin/python ...

`compare` runs the first form in processes of their own, in turns, one model and one Python after
another, so that all see the same load: quote the ratios, not the milliseconds. `PYTHONPATH` can
name the source of another version as a prefix of a Python: SOURCE=PYTHON. Runs that fail, as where
an older version meets a newer model, are named below the table with the reason.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np


def timed(model: Path, paths: list[Path], repeats: int) -> dict[str, Any]:
    """Milliseconds of each inspection, and of its network."""
    import resource

    started = time.perf_counter()
    from patchcore_dual.data.reading import read_image
    from patchcore_dual.detector import PatchCoreDual

    detector = PatchCoreDual.load(model, device="cpu")
    detector.inspect(paths[0])
    first = time.perf_counter() - started
    embed, network = type(detector.embedder).__call__, []

    def watched(self: Any, images: np.ndarray) -> np.ndarray:
        begun = time.perf_counter()
        features = embed(self, images)
        network.append(1000 * (time.perf_counter() - begun))
        return features

    images, total = [np.asarray(read_image(path)) for path in paths], []
    for image in images[:3]:
        detector.inspect(image)
    type(detector.embedder).__call__ = watched  # type: ignore[method-assign]
    for _ in range(repeats):
        for image in images:
            begun = time.perf_counter()
            detector.inspect(image)
            total.append(1000 * (time.perf_counter() - begun))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"total": total, "network": network, "first_s": first, "peak_mib": peak}


def compare(arguments: argparse.Namespace) -> None:
    results, failed = defaultdict(list), Counter()
    for _ in range(arguments.rounds):
        for python in arguments.python:
            source, _, program = python.rpartition("=")
            for model in arguments.models:
                environment = {**os.environ, **({"PYTHONPATH": source} if source else {})}
                command = [program, __file__, "time", model, *arguments.images]
                done = subprocess.run(
                    command, env=environment, capture_output=True, text=True, check=False
                )
                if done.returncode == 0:
                    results[python, model].append(json.loads(done.stdout))
                else:
                    reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
                    failed[python, model, reason] += 1
    print("| Python | model | inspect p50 | p99 | network p50 | first verdict, s | peak, MiB |")
    print("|---|---|---|---|---|---|---|")
    for (python, model), runs in results.items():
        total, network = (np.concatenate([run[part] for run in runs]) for part in
                          ("total", "network"))  # fmt: skip
        first, peak = (np.median([run[part] for run in runs]) for part in ("first_s", "peak_mib"))
        p50, p99 = np.percentile(total, [50, 99])
        print(f"| {python} | {Path(model).name} | {p50:.1f} | {p99:.1f} | "
              f"{np.median(network):.1f} | {first:.1f} | {peak:.0f} |")  # fmt: skip
    for (python, model, reason), times in failed.items():
        print(f"{python} with {model} failed in {times} of {arguments.rounds} rounds: {reason}",
              file=sys.stderr)  # fmt: skip
    if failed:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("time")
    one.add_argument("model", type=Path)
    one.add_argument("images", type=Path, nargs="+")
    one.add_argument("--repeats", type=int, default=2)
    one.set_defaults(function=lambda a: print(json.dumps(timed(a.model, a.images, a.repeats))))
    other = commands.add_parser("compare")
    other.add_argument("images", nargs="+")
    other.add_argument("--models", nargs="+", required=True)
    other.add_argument("--python", nargs="+", default=[sys.executable])
    other.add_argument("--rounds", type=int, default=3)
    other.set_defaults(function=compare)
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
