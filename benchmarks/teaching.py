"""Teaching one image after the other, against fitting them together: docs/teaching.md.

    python benchmarks/teaching.py defects PREPARED --orders 1 --out defects.jsonl
    python benchmarks/teaching.py good PREPARED --orders 1 --out good.jsonl
    python benchmarks/teaching.py plot defects.jsonl ... --out docs/teaching.png

`defects` fits a model on the good training images and teaches it the defective ones in a random
order; `good` fits one on 30 good images and all defective ones, and teaches it 30 more good ones.
After each image, all test images are judged at the model's own threshold. Every teaching is
accepted; how many would have been refused is counted.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.metrics import auroc
from patchcore_dual.live import Lesson
from patchcore_dual.live.lessons import verdict_of
from patchcore_dual.scoring import gather_evidence

GOOD = 30  # images of the model that is taught more good ones, and of those


@dataclass
class Tests:
    """The test images, embedded once."""

    features: list[np.ndarray]
    labels: np.ndarray

    @classmethod
    def of(cls, manifest: Manifest, detector: PatchCoreDual) -> "Tests":
        part = manifest.part("test")
        features = [detector.embed(manifest.read_image(sample)) for sample in part]
        return cls(features, np.array([sample.is_defective for sample in part]))

    def judge(self, detector: PatchCoreDual) -> dict[str, float]:
        """Image AUROC, and recall and false alarms at the model's own threshold."""
        model, scores, rejected = detector.model, [], []
        for features in self.features:
            banks = model.normal_bank, model.defect_bank
            evidence = gather_evidence(features, *banks, model.probe, model.rule.weighted)
            scores.append(model.rule(evidence).score)
            rejected.append(verdict_of(model, evidence, scores[-1]) == "reject")
        found = np.array(rejected)
        return {
            "auroc": float(auroc(scores, self.labels)),
            "recall": float(found[self.labels].mean()),
            "false_alarms": float(found[~self.labels].mean()),
        }


def lesson_of(manifest: Manifest, sample: Sample) -> Lesson:
    """The teaching of a training image, as its row in the manifest has it."""
    return Lesson(
        manifest.image_path(sample),
        sample.is_defective,
        manifest.mask_path(sample) if sample.is_defective else None,
        kind=sample.kind if sample.is_defective else "",
        group=sample.group,
    )


def story(manifest: Manifest, what: str, order: int, most: int) -> Iterator[dict[str, Any]]:
    """A record after the first fit, after each teaching, and after a fit of all together."""
    train = manifest.part("train")
    good, bad = (train.part(label=label).samples for label in ("negative", "positive"))
    bad = tuple(sample for sample in bad if sample.mask_is_known)
    shuffle = np.random.default_rng(order)
    if what == "defects":
        first: tuple[Sample, ...] = good
        taught = [bad[i] for i in shuffle.permutation(len(bad))[:most]]
    else:
        chosen = [good[i] for i in shuffle.permutation(len(good))[: 2 * GOOD]]
        first, taught = (*chosen[:GOOD], *bad), chosen[GOOD:]
    options: dict[str, Any] = {"size": None, "keep_all": True}
    detector = PatchCoreDual().fit(manifest.where(first), **options)
    tests = Tests.of(manifest, detector)
    yield {"taught": 0, **tests.judge(detector)}
    for count, sample in enumerate(taught, start=1):
        started = time.perf_counter()
        outcome = detector.teach(lesson_of(manifest, sample), force=True)
        seconds = time.perf_counter() - started
        known = outcome.preview.after
        yield {
            "taught": count,
            **tests.judge(detector),
            "seconds": seconds,
            "refusals": len(outcome.preview.refusals),
            "expected_recall": known.recall_known,
            "expected_false_alarms": known.threshold.expected,
            "vectors": [len(detector.model.normal_bank), len(detector.model.defect_bank or ())],
        }
    together = detector.with_settings().fit(manifest.where((*first, *taught)), **options)
    banks = [len(together.model.normal_bank), len(together.model.defect_bank or ())]
    yield {"taught": "together", **tests.judge(together), "vectors": banks}


def plot(files: list[Path], out: Path) -> None:
    """Image AUROC, recall and false alarms after each teaching, a column for each file."""
    from matplotlib.figure import Figure

    colours = {"auroc": "#1668b8", "recall": "#c2571a", "false_alarms": "#6b7280"}
    names = {"auroc": "image AUROC", "recall": "recall", "false_alarms": "false alarms"}
    figure = Figure(figsize=(4.2 * len(files), 3.6), layout="constrained")
    for column, axes in enumerate(np.atleast_1d(figure.subplots(1, len(files), sharey=True))):
        records = [json.loads(line) for line in files[column].read_text().splitlines()]
        for key, colour in colours.items():
            for order in sorted({record["order"] for record in records}):
                own = [r for r in records if r["order"] == order]
                steps = [r for r in own if r["taught"] != "together"]
                x, y = [r["taught"] for r in steps], [r[key] for r in steps]
                axes.plot(x, y, color=colour, label=names[key] if order == 0 else None)
                for end in (r for r in own if r["taught"] == "together"):
                    axes.plot(x[-1] + 1, end[key], "D", color=colour, clip_on=False)
        what = "defects" if records[0]["what"] == "defects" else "good images"
        axes.set_title(records[0]["data"].replace("_", " "), fontsize=10)
        axes.set_xlabel(f"{what} taught (◆ fitted together)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#d4d8de", linewidth=0.6)
        axes.set_ylim(0, 1.01)
        if not column:
            axes.legend(frameon=False, loc="center right")
    figure.savefig(out, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("defects", "good", "plot"))
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--orders", type=int, default=1)
    parser.add_argument("--most", type=int, default=1000, help="defects that are taught")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.what == "plot":
        plot(args.inputs, args.out)
        return
    with args.out.open("w") as file:
        for prepared in args.inputs:
            manifest = Manifest.load(prepared)
            for order in range(args.orders):
                for record in story(manifest, args.what, order, args.most):
                    facts = {"data": prepared.name, "what": args.what, "order": order, **record}
                    print(json.dumps(facts), file=file, flush=True)


if __name__ == "__main__":
    main()
