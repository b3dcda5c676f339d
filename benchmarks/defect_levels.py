"""Other feature levels for the defect bank than for the normal one (thesis 5.3.2): docs/results.md.

python benchmarks/defect_levels.py PREPARED --backbone resnet18 --weights FILE --seeds 3
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from patchcore_dual.cli.choices import parse_numbers
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.experiments.protocols import resplit
from patchcore_dual.experiments.runner import TrialRunner
from patchcore_dual.experiments.trials import Condition, Method, Trial

METRICS = ("image_auroc", "image_ap", "pixel_auroc", "pixel_ap")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rules", nargs="+", default=["ratio", "calibrated"])
    parser.add_argument("--levels", nargs="+", default=["2,3", "1,2", "1,2,3"])
    args = parser.parse_args()
    manifest = Manifest.load(args.prepared)
    print("| rule, levels of the defect bank | image AUROC | image AP | pixel AUROC | pixel AP |")
    print("|---" * 5 + "|")
    for levels in args.levels:
        detector = PatchCoreDual(
            backbone=args.backbone,
            weights=args.weights,
            defect_levels=parse_numbers("--levels", levels),
        )
        figures: dict[str, list[list[float]]] = {}
        for seed in range(args.seeds):
            split = resplit(manifest, seed)
            methods = tuple(Method(rule, rule) for rule in args.rules)
            runner = TrialRunner(split, detector.with_settings(seed=seed))
            results = runner.run(Trial(Condition(), split, methods, pixels=True))
            for rule, result in results.items():
                values = [getattr(result, metric) for metric in METRICS]
                figures.setdefault(rule, []).append(values)
                print(levels, seed, rule, values, file=sys.stderr, flush=True)
        for rule, rows in figures.items():
            mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
            cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True)]
            print(f"| {rule}, {levels} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
