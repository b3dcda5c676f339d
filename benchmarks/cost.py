"""What the recommended rule costs: processor time of fitting and inspecting, as ratios to `ratio`.

    python benchmarks/cost.py PREPARED --backbone resnet18 --weights FILE

Both rules run in one process, and inspections alternate between them image by image. Processor
time, summed over all threads, is least affected by other load on the machine.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image
from patchcore_dual.detector import PatchCoreDual

RULES = ("ratio", "calibrated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=int, default=40)
    args = parser.parse_args()
    manifest = Manifest.load(args.prepared)
    detectors, fitting = {}, {}
    for rule in RULES:
        detector = PatchCoreDual(backbone=args.backbone, weights=args.weights, scoring=rule)
        started = time.process_time()
        detectors[rule] = detector.fit(manifest)
        fitting[rule] = time.process_time() - started
    inspecting: dict[str, list[float]] = {rule: [] for rule in RULES}
    for sample in manifest.part("test").samples[: args.images]:
        image = read_image(manifest.image_path(sample))
        for rule, detector in detectors.items():
            detector.inspect(image)
            started = time.process_time()
            detector.inspect(image)
            inspecting[rule].append(time.process_time() - started)
    per_image = {rule: float(np.median(times)) for rule, times in inspecting.items()}
    for rule in RULES:
        print(f"{rule:12s} fit {fitting[rule]:7.1f} s   inspect {1000 * per_image[rule]:6.1f} ms")
    print(f"fit ratio {fitting['calibrated'] / fitting['ratio']:.2f}")
    print(f"inspect ratio {per_image['calibrated'] / per_image['ratio']:.2f}")


if __name__ == "__main__":
    main()
