"""The rules that use distances alone, with every choice of defect patches: docs/results.md.

    python benchmarks/rules.py PREPARED --backbone resnet18 --weights FILE --seeds 3

Each seed splits the prepared data again by group. Features and normal banks are computed once per
seed; every rule and choice is then fitted and tested as `fit` and `evaluate` would.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.experiments.protocols import resplit
from patchcore_dual.experiments.runner import TrialRunner, with_cached_features
from patchcore_dual.experiments.trials import Condition, Method, Trial
from patchcore_dual.scoring import RULES

METRICS = ("image_auroc", "image_ap", "pixel_auroc", "pixel_ap", "aupro")


def methods() -> tuple[Method, ...]:
    """One for each row; PatchCore has no defect bank, so one choice of patches is enough."""
    rows = []
    for name in (name for name, rule in RULES.items() if not rule.uses_probe):
        if name.startswith("patchcore"):
            rows.append(Method(name, name))
        else:
            rows += [Method(f"{name}, {p}", name, p) for p in ("mask", "box", "crop")]
    return tuple(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    manifest = Manifest.load(args.prepared)
    detector = with_cached_features(PatchCoreDual(backbone=args.backbone, weights=args.weights))
    figures: dict[str, list[list[float]]] = {}
    for seed in range(args.seeds):
        split = resplit(manifest, seed)
        runner = TrialRunner(split, detector.with_settings(seed=seed))
        for method in methods():
            (result,) = runner.run(Trial(Condition(), split, (method,), pixels=True)).values()
            values = [getattr(result, metric) for metric in METRICS]
            figures.setdefault(method.name, []).append(values)
            print(seed, method.name, *(f"{v:.3f}" for v in values), file=sys.stderr, flush=True)
    print("| rule, defect patches | image AUROC | image AP | pixel AUROC | pixel AP | AUPRO |")
    print("|---" * 6 + "|")
    for name, rows in figures.items():
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True)]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
