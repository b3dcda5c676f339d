"""What users get: recall and false alarms at a model's own threshold, over splits and set sizes.

    python benchmarks/verdict.py run results.jsonl PREPARED... --seeds 0,1,2 --good 20,all
    python benchmarks/verdict.py table results.jsonl

Every prepared folder is split anew for each seed, groups kept on one side, and fitted with default
settings on so many good and defective training images. A row is written for each fit as soon as it
is there, and rows that the file holds are not computed again. `table` compares any number of files,
which may come from different versions of the code: the mean over the splits of each data set.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.subsets import choose_defects
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.metrics import auroc, average_precision
from patchcore_dual.experiments.protocols import resplit

Row = dict[str, Any]


def limited(manifest: Manifest, seed: int, good: int | None, defects: int | None) -> Manifest:
    """The split with so many training images, drawn by the seed; None keeps all."""
    manifest = choose_defects(manifest, defects, (), seed)
    if good is None:
        return manifest
    names = [s.image for s in manifest.part("train", "negative")]
    kept = set(np.random.default_rng(seed).permutation(names)[:good].tolist())
    return manifest.where(
        s for s in manifest if s.is_defective or s.split == "test" or s.image in kept
    )


def measure(manifest: Manifest, settings: Row, size: tuple[int, int] | None) -> Row:
    """Fit on the training images, and inspect the test images."""
    start = time.perf_counter()
    detector = PatchCoreDual(**settings).fit(manifest, size=size or "auto")
    fitted = time.perf_counter()
    test = manifest.part("test")
    inspections = detector.inspect_many([manifest.image_path(s) for s in test])
    scores = np.array([one.score for one in inspections])
    seconds = (time.perf_counter() - fitted) / len(test)
    is_defective = np.array([s.is_defective for s in test])
    normal, defective = scores[~is_defective], scores[is_defective]
    threshold = detector.model.thresholds.image.value
    return {
        "size": list(detector.model.size or ()),
        "auroc": float(auroc(scores, is_defective)),
        "ap": float(average_precision(scores, is_defective)),
        "found": int((defective > threshold).sum()),
        "defective": len(defective),
        "false_alarms": int((normal > threshold).sum()),
        "normal": len(normal),
        "recall_at_5": float((defective > np.quantile(normal, 0.95)).mean()),
        "nominal": max(0.01, 1 / (len(manifest.part("train", "negative")) + 1)),
        "fit_seconds": fitted - start,
        "inspect_seconds": seconds,
    }


def run(arguments: argparse.Namespace) -> None:
    done = {key(row) for row in read(arguments.results)}
    settings = {
        name: value
        for name in ("scoring", "backbone", "weights", "precision")
        if (value := getattr(arguments, name)) is not None
    }
    size = None
    if arguments.size:
        width, height = map(int, arguments.size.split("x"))
        size = width, height
    for folder in arguments.prepared:
        whole = Manifest.load(folder)
        for seed in numbers(arguments.seeds):
            for good in numbers(arguments.good):
                for defects in numbers(arguments.defects):
                    row = {"data": folder.name, "seed": seed, "good": good, "defects": defects}
                    if key(row) in done:
                        continue
                    assert seed is not None
                    some = limited(resplit(whole, seed), seed, good, defects)
                    row |= measure(some, settings, size)
                    with arguments.results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
                    print(json.dumps(row), flush=True)


def key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("data", "seed", "good", "defects"))


def read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def numbers(text: str) -> list[int | None]:
    """`0,5,all` as [0, 5, None]."""
    return [None if part == "all" else int(part) for part in text.split(",")]


def table(arguments: argparse.Namespace) -> None:
    tables = [{key(row): row for row in read(path)} for path in arguments.results]
    common = set.intersection(*(set(rows) for rows in tables))
    groups = defaultdict(list)
    for one in sorted(common, key=str):
        groups[one[0], one[2], one[3]].append(one)
    print(
        "| data | good | defects | splits | file | size | AUROC | AP | recall | false alarms "
        "| 95 % | nominal | recall at 5 % | ms | fit s |"
    )
    print("|---" * 15 + "|")
    for (data, good, defects), keys in groups.items():
        for path, rows in zip(arguments.results, tables, strict=True):
            values = list(summary([rows[one] for one in keys]))
            cells = (data, good or "all", "all" if defects is None else defects, len(keys))
            print("|", " | ".join(map(str, [*cells, path.stem, *values])), "|")
    for path, rows in zip(arguments.results, tables, strict=True):
        means = [[rows[one] for one in keys] for keys in groups.values()]
        print(f"mean of {len(means)} settings, {path.stem}:", *overall(means))


def summary(rows: list[Row]) -> Iterator[str]:
    """Means over splits."""
    yield " ".join(sorted({"x".join(map(str, r["size"])) for r in rows}))
    yield f"{np.mean([r['auroc'] for r in rows]):.3f}"
    yield f"{np.mean([r.get('ap', np.nan) for r in rows]):.3f}"
    yield f"{np.mean([recall(r) for r in rows]):.2f}"
    yield f"{np.mean([rate(r) for r in rows]):.3f}"
    alarms, normal = (sum(r[name] for r in rows) for name in ("false_alarms", "normal"))
    interval = binomtest(alarms, normal).proportion_ci()  # Clopper-Pearson, all splits together
    yield f"{interval.low:.3f} to {interval.high:.3f}"
    yield f"{np.mean([r['nominal'] for r in rows]):.3f}"
    yield f"{np.mean([r['recall_at_5'] for r in rows]):.2f}"
    yield f"{1000 * np.mean([r['inspect_seconds'] for r in rows]):.0f}"
    yield f"{np.mean([r['fit_seconds'] for r in rows]):.0f}"


def overall(groups: list[list[Row]]) -> Iterator[str]:
    """Means over data sets and set sizes, each with the same weight, and their standard errors."""
    for name, value in (
        ("AUROC", lambda r: r["auroc"]),
        ("recall", recall),
        ("false alarms", rate),
    ):
        means = [np.mean([value(row) for row in rows]) for rows in groups]
        error = np.std(means, ddof=1) / len(means) ** 0.5 if len(means) > 1 else float("nan")
        yield f"{name} {np.mean(means):.4f} ± {error:.4f};"
    nominal = np.mean([np.mean([row["nominal"] for row in rows]) for rows in groups])
    achieved = np.mean([np.mean([rate(row) for row in rows]) for rows in groups])
    yield f"nominal {nominal:.4f}; achieved over nominal {achieved / nominal:.2f}"


def recall(row: Row) -> float:
    return float(row["found"] / row["defective"])


def rate(row: Row) -> float:
    return float(row["false_alarms"] / row["normal"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="fit and measure")
    one.add_argument("results", type=Path)
    one.add_argument("prepared", type=Path, nargs="+")
    one.add_argument("--seeds", default="0,1,2")
    one.add_argument("--good", default="all")
    one.add_argument("--defects", default="all")
    one.add_argument("--scoring")
    one.add_argument("--backbone")
    one.add_argument("--weights", type=Path)
    one.add_argument("--precision", choices=("float32", "int8"))
    one.add_argument("--size", help="WIDTHxHEIGHT in place of the choice, as the table shows it")
    one.set_defaults(function=run)
    other = commands.add_parser("table", help="compare results")
    other.add_argument("results", type=Path, nargs="+")
    other.set_defaults(function=table)
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
