"""What a fixture that changes from image to image costs, and what a region of interest gives back.

A label with a random number, tilted and shifted at random, is drawn into a corner of the images of
a prepared data set. Models are fitted on the images without and with it, each without a region of
interest, with one that leaves the corner out, and with that region only once it is fitted. All are
evaluated on both. Recall and false alarms are those at the model's own threshold; the seconds are
those of the fit, or of narrowing the region.

    python benchmarks/roi.py prepared/kolektorsdd results
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from patchcore_dual import PatchCoreDual
from patchcore_dual.cli.choices import parse_size
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.evaluation.evaluation import evaluate

BOX = 0.34, 0.12  # width and height of the corner that the label moves in, as shares of the image


def draw_label(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image with a label somewhere in its lower right corner."""
    height, width = image.shape[:2]
    box_width, box_height = int(BOX[0] * width), int(BOX[1] * height)
    corner = np.array([width - box_width, height - box_height])
    side = np.array([0.62 * box_width, 0.40 * box_height])
    centre = corner + rng.uniform(0.38, 0.62, 2) * [box_width, box_height]
    rectangle = (*centre.tolist(),), (*side.tolist(),), float(rng.uniform(-12, 12))
    drawn = image.copy()
    outline = cv2.boxPoints(rectangle).astype(np.int32)
    cv2.fillPoly(drawn, [outline], (235, 235, 225), cv2.LINE_AA)
    at = (int(centre[0] - 0.27 * box_width), int(centre[1] + 0.08 * box_height))
    text = str(rng.integers(10_000, 99_999))
    cv2.putText(
        drawn, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.0045 * box_width, (20, 20, 20), 1, cv2.LINE_AA
    )
    inside = np.zeros(image.shape[:2], bool)
    inside[corner[1] :, corner[0] :] = True
    return np.where(inside[..., None], drawn, image)


def labelled(prepared: Path, folder: Path) -> Path:
    """A copy of a prepared folder with a label in every image."""
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(prepared, folder)
    rng = np.random.default_rng(0)
    for sample in Manifest.load(folder).real():
        path = folder / sample.image
        write_png(path, draw_label(read_image(path), rng))
    return folder


def region(size: tuple[int, int]) -> np.ndarray:
    """bool `[H, W]`: all but the corner."""
    width, height = size
    inside = np.ones((height, width), bool)
    inside[height - int(BOX[1] * height) :, width - int(BOX[0] * width) :] = False
    return inside


def variants(
    training_set: Manifest, size: tuple[int, int] | None, inspected: np.ndarray
) -> Iterator[tuple[str, PatchCoreDual, float]]:
    """Models with a region of three kinds, one at a time, and the seconds that each took."""
    for how, roi in (("fitted", inspected), ("none", None)):
        begun = time.perf_counter()
        detector = PatchCoreDual().fit(training_set, size=size, roi=roi)
        yield how, detector, time.perf_counter() - begun
    begun = time.perf_counter()
    detector.teach(region=inspected, dry_run=True)  # keeps the features of all training images
    first = time.perf_counter() - begun
    print(json.dumps({"region": "narrowed, the first edit", "seconds": round(first, 1)}))
    begun = time.perf_counter()
    detector.teach(region=inspected, force=True)
    yield "narrowed", detector, time.perf_counter() - begun


def main() -> None:
    """Fit and evaluate every variant."""
    parser = argparse.ArgumentParser(description="What a changing fixture costs, and a region.")
    parser.add_argument("prepared", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--size", default="prepared", help="WxH that models are fitted at")
    arguments = parser.parse_args()
    results: Path = arguments.results
    results.mkdir(parents=True, exist_ok=True)
    size = parse_size(arguments.size, "prepared") if arguments.size != "prepared" else None
    without = Manifest.load(arguments.prepared)
    with_label = Manifest.load(labelled(arguments.prepared, results / "labelled"))
    everything = without.size()
    assert everything is not None, "prepare the images at one size"
    rows = []
    sets = {"without label": without, "with label": with_label}
    for trained_on, training_set in sets.items():
        for how, detector, seconds in variants(training_set, size, region(everything)):
            for tested_on, test_set in sets.items():
                result = evaluate(detector, test_set)
                rows.append(
                    {
                        "trained_on": trained_on,
                        "region": how,
                        "tested_on": tested_on,
                        "image_auroc": round(result.image_auroc, 4),
                        "recall": f"{result.count('found')} of {result.n_test_defective}",
                        "false_alarms": f"{result.count('false alarm')} of {result.n_test_normal}",
                        "pixel_ap": round(result.pixel_ap, 3),
                        "defects_outside": result.n_defects_outside,
                        "seconds": round(seconds, 1),
                        "threshold": round(detector.model.thresholds.image.value, 3),
                        "normal_patches": len(detector.model.normal_bank),
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
            path = next(i.path for i in result.images if i.is_defective)
            picture = detector.inspect(with_label.folder / path).draw()
            write_png(results / f"{trained_on.replace(' ', '-')}-{how}.png", picture)
    (results / "roi.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
