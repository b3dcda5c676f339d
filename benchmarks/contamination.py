"""What mislabelled good training images cost, and what setting them aside mends.

    python benchmarks/contamination.py run results.jsonl PREPARED... --seeds 0,1 --shares 0,0.05,0.1
    python benchmarks/contamination.py table results.jsonl

Every prepared folder is split anew for each seed, as by `verdict.py`. Defective training images, so
many as that share of the good ones, are then called good, without their masks. The model is fitted
as usual and with every image kept; both are measured on the test images, whose labels are right.
`table` gives the means over splits.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from verdict import limited, numbers, read

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.subsets import choose_defects
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.experiments.protocols import resplit
from patchcore_dual.features import CachedEmbedder, Embedder

CACHED_BYTES = 12 * 2**30
WAYS = ("kept", "set aside")

Row = dict[str, Any]


def contaminated(manifest: Manifest, share: float, seed: int) -> tuple[Manifest, set[str]]:
    """The data set with some defective training images called good, and their names."""
    defective = [s.image for s in manifest.part("train", "positive")]
    count = round(share * len(manifest.part("train", "negative")))
    wrong = set(np.random.default_rng(seed).permutation(defective)[:count].tolist())
    relabelled = (
        replace(s, label="negative", mask="", kind="") if s.image in wrong else s for s in manifest
    )
    return manifest.where(relabelled), wrong


def measure(manifest: Manifest, wrong: set[str], embedder: Embedder, *, keep_all: bool) -> Row:
    """Fit on the training images, and inspect the test images."""
    options = {} if manifest.keeps_photographs else {"size": None}
    detector = PatchCoreDual(embedder=embedder).fit(manifest, keep_all=keep_all, **options)
    test = manifest.part("test")
    scores = np.array(
        [one.score for one in detector.inspect_many([manifest.image_path(s) for s in test])]
    )
    is_defective = np.array([s.is_defective for s in test])
    normal, defective = scores[~is_defective], scores[is_defective]
    threshold = detector.model.thresholds.image.value
    above = (defective[:, None] > normal).mean() + (defective[:, None] == normal).mean() / 2
    aside = set(detector.model.trained_on["set_aside"])
    return {
        "aside": len(aside),
        "aside_wrong": len(aside & wrong),
        "auroc": float(above),
        "recall": float((defective > threshold).mean()),
        "false_alarms": float((normal > threshold).mean()),
    }


def run(arguments: argparse.Namespace) -> None:
    done = {key(row) for row in read(arguments.results)}
    embedder = CachedEmbedder(PatchCoreDual().embedder, CACHED_BYTES)
    for folder in arguments.prepared:
        whole = Manifest.load(folder)
        for seed in map(int, arguments.seeds.split(",")):
            for good in numbers(arguments.good):
                split = limited(resplit(whole, seed), seed, good, None)
                for share in map(float, arguments.shares.split(",")):
                    row = {"data": folder.name, "seed": seed, "share": share, "good": good}
                    row["defects"] = arguments.defects
                    if key(row) in done:
                        continue
                    some, wrong = contaminated(split, share, seed)
                    some = choose_defects(some, arguments.defects, (), seed)
                    row |= {"n_good": len(some.part("train", "negative")), "wrong": len(wrong)}
                    usual = measure(some, wrong, embedder, keep_all=False)
                    # Where nothing was set aside, both are one model.
                    kept = (
                        measure(some, wrong, embedder, keep_all=True) if usual["aside"] else usual
                    )
                    row |= {"set aside": usual, "kept": kept}
                    with arguments.results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
                    print(json.dumps(row), flush=True)


def key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("data", "seed", "share", "good", "defects"))


def table(arguments: argparse.Namespace) -> None:
    groups = defaultdict(list)
    for row in read(arguments.results):
        groups[row["data"], row["share"], row["good"], row["defects"]].append(row)
    print("| data | mislabelled | splits | | AUROC | recall | false alarms | set aside (wrong) |")
    print("|---|---|---|---|---|---|---|---|")
    for (data, share, good, defects), rows in groups.items():
        limits = [
            f"{n} {name}" for n, name in ((good, "good"), (defects, "defects")) if n is not None
        ]
        name = ", ".join([data, *limits])
        wrong, n_good = (sum(row[what] for row in rows) for what in ("wrong", "n_good"))
        for way in WAYS:
            values = [row[way] for row in rows]
            means = [
                f"{np.mean([v[what] for v in values]):.{digits}f}"
                for what, digits in (("auroc", 3), ("recall", 2), ("false_alarms", 3))
            ]
            count, right = (sum(v[what] for v in values) for what in ("aside", "aside_wrong"))
            mislabelled = f"{share:.0%}: {wrong} of {n_good}"
            cells = [name, mislabelled, len(rows), way, *means, f"{count} ({right})"]
            print("|", " | ".join(map(str, cells)), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="fit and measure")
    one.add_argument("results", type=Path)
    one.add_argument("prepared", type=Path, nargs="+")
    one.add_argument("--seeds", default="0,1")
    one.add_argument("--shares", default="0,0.05,0.1")
    one.add_argument("--good", default="all")
    one.add_argument("--defects", type=int)
    one.set_defaults(function=run)
    other = commands.add_parser("table", help="means over splits")
    other.add_argument("results", type=Path)
    other.set_defaults(function=table)
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
