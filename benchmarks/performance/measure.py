"""Runs one measurement in a process of its own and prints it as one JSON object.

    python -m performance.measure MODULE FUNCTION '{"argument": value}'

Two OpenMP pools in one process slow each other, and memory that one tool has taken hides what the
next one needs: so nothing else ever runs in such a process.
"""

import importlib
import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version

from performance.measuring import peak_mib

PACKAGES = ("anomalib", "faiss-cpu", "numpy", "openvino", "patchcore-dual", "timm", "torch")


def main() -> None:
    module, function, arguments = sys.argv[1:]
    if module.endswith("_peer"):
        importlib.import_module("performance.torchvision_operators")  # before what imports it
    load, started = os.getloadavg()[0], time.perf_counter()
    measured = getattr(importlib.import_module(f"performance.{module}"), function)(
        **json.loads(arguments)
    )
    measured["process_s"] = time.perf_counter() - started
    measured["process_peak_mib"] = peak_mib()
    measured["load_before"] = load  # above 1 or so, others were computing too
    measured["versions"] = {"python": sys.version.split()[0], **_versions()}
    print(json.dumps(measured))


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
