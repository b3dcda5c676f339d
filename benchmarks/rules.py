"""Every fusion rule with every choice of defect patches, over split seeds: docs/results.md.

    python benchmarks/rules.py kolektorsdd SOURCE --size 256x640 --backbone resnet18 --weights FILE

Each seed splits the data by group. The normal bank is built once a seed, the defect bank once for
each choice of patches; test images are embedded once and searched in all banks. One rule differs
from another only in how it reads the same distances, exactly as `fit --scoring` would.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from patchcore_dual.cli.prepare import parse_size
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.evaluation import known_mask
from patchcore_dual.evaluation.metrics import auroc, average_precision
from patchcore_dual.evaluation.pixel_metrics import PixelMetrics
from patchcore_dual.features.defect_patches import Embed
from patchcore_dual.images.manifest import Manifest
from patchcore_dual.images.placement import SplitSettings
from patchcore_dual.images.preparation import prepare
from patchcore_dual.images.reading import read_image
from patchcore_dual.progress import silent
from patchcore_dual.scoring import RULES, Evidence, anomaly_map
from patchcore_dual.scoring.evidence import search
from patchcore_dual.scoring.weights import normal_weight, positive_weight
from patchcore_dual.training import build_defect_bank, build_normal_banks, score_held_out

CHOICES = ("mask", "box", "crop")
METRICS = ("image AUROC", "image AP", "pixel AUROC", "pixel AP", "AUPRO")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layout")
    parser.add_argument("source", type=Path)
    parser.add_argument("--size", default="224x632")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the figures of each seed as JSON")
    args = parser.parse_args()
    width, height = parse_size(args.size)
    figures: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seeds):
            prepared = Path(folder) / str(seed)
            prepare(
                args.layout,
                args.source,
                prepared,
                width=width,
                height=height,
                split=SplitSettings(seed=seed),
            )
            manifest = Manifest.load(prepared)
            for name, values in one_split(manifest, args.backbone, args.weights).items():
                figures.setdefault(name, []).append(values)
            if args.out:
                args.out.write_text(json.dumps({"metrics": METRICS, "figures": figures}, indent=1))
    print_table(figures)


def one_split(manifest: Manifest, backbone: str, weights: Path | None) -> dict[str, list[float]]:
    """The figures of every rule and choice on one split."""
    detector = PatchCoreDual(backbone=backbone, weights=weights)
    embed = remembering(detector.embed)
    training_set, test_set, size = manifest.part("train"), manifest.part("test"), manifest.size()
    banks = build_normal_banks(embed, training_set, detector.settings, None, silent)
    note("normal banks built")
    defect_banks, rules = {}, {}
    for choice in CHOICES:
        settings = detector.settings.model_copy(update={"patches": choice})
        defect_bank = build_defect_bank(embed, training_set, settings, size, None, {}, silent)
        held_out = score_held_out(embed, training_set, banks, defect_bank, silent)
        defect_banks[choice] = defect_bank
        for name, rule in RULES.items():
            if choice == CHOICES[0] or not name.startswith("patchcore"):
                rules[name, choice] = rule().fit([one.evidence for one in held_out])
    note("defect banks built")

    scores: dict[tuple[str, str], list[float]] = {key: [] for key in rules}
    pixels = {key: PixelMetrics() for key in rules}
    for sample in test_set:
        image = read_image(manifest.image_path(sample))
        features = embed(image)
        mask = known_mask(manifest, sample, image.shape[:2])
        normal = search(features, banks.whole, normal_weight)
        evidence = {
            choice: Evidence(normal, search(features, bank, positive_weight))
            for choice, bank in defect_banks.items()
        }
        for key, rule in rules.items():
            score, grid = rule(evidence[key[1]])
            scores[key].append(score)
            if mask is not None:
                heat = anomaly_map(grid, image.shape[0], image.shape[1], rule.sigma)
                pixels[key].update(heat, mask)

    labels = [sample.is_defective for sample in test_set]
    figures = {}
    for (name, choice), values in scores.items():
        pixel = pixels[name, choice].compute()
        label = name if name.startswith("patchcore") else f"{name}, {choice}"
        image_figures = [auroc(values, labels), average_precision(values, labels)]
        figures[label] = [*image_figures, pixel.auroc, pixel.ap, pixel.aupro]
        note(f"{label:24s}" + "  ".join(f"{v:.3f}" for v in figures[label]))
    return figures


def remembering(embed: Embed) -> Embed:
    """The same function, each image embedded once."""
    known: dict[bytes, np.ndarray] = {}

    def remembered(image: np.ndarray) -> np.ndarray:
        key = hashlib.sha256(image.tobytes()).digest()
        if key not in known:
            known[key] = embed(image)
        return known[key]

    return remembered


def print_table(figures: dict[str, list[list[float]]]) -> None:
    """Mean ± standard deviation over the seeds, as a Markdown table."""
    print("| rule, defect patches | " + " | ".join(METRICS) + " |")
    print("|---" * (len(METRICS) + 1) + "|")
    for name, rows in figures.items():
        values = np.array(rows)
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(values.mean(0), values.std(0), strict=True)]
        print(f"| {name} | " + " | ".join(cells) + " |")


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
