"""Large images by tiles: are defects found as well as on single parts, and what does it cost?

    python benchmarks/tiles.py compose FOLDER --side 1024
    python benchmarks/tiles.py found FOLDER --side 1024 --tile 512
    python benchmarks/tiles.py seams --side 1536
    python benchmarks/tiles.py cost --side 1728
    python benchmarks/tiles.py memory FOLDER --side 8192

`compose` renders metal parts of 256x256, defects of 8 to 40 pixels among them, and writes them
twice: one by one, and put together to large images. `found` fits a model on each, and
compares the scores of the same test parts. `seams` compares features with those of one pass by
overlap, `cost` the time per megapixel by size of the tiles, and `memory` is the peak of one
inspection in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.prepare.sizes import MAX_PIXELS
from patchcore_dual.data.reading import read_image
from patchcore_dual.demo.surfaces import KINDS, Surface, photograph
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.metrics import auroc
from patchcore_dual.features import TiledEmbedder, as_set, load_embedder
from patchcore_dual.features.inspected import patches_of
from patchcore_dual.model import load_model, save_model
from patchcore_dual.scoring import search_adaptively

PART = 256  # pixels of a part
SMALLEST, LARGEST = 8, 40  # pixels of a defect, its longer side
IMAGES = (12, 4, 8, 8)  # large images: good and defective of training, and of the test
DEFECTS = 3  # parts with a defect in a defective large image, and one of 32 where that is more
RATES = (0.01, 0.05)  # false alarms at which ways are compared
ALLOWED = (0.01, 0.1)  # false alarms that a model's own threshold is set for
RUN = "from patchcore_dual.cli.main import main; main()"
OVERLAPS, TILES = (128, 192, 256, 320, 384), (256, 512, 1024)


def defective_part(kind: str, rng: np.random.Generator) -> Surface:
    """A part with a defect of the sizes that are wanted."""
    while True:
        surface = photograph(kind, rng)
        rows, columns = (np.flatnonzero(surface.mask.any(axis=axis)) for axis in (1, 0))
        if SMALLEST <= max(np.ptp(rows), np.ptp(columns)) + 1 <= LARGEST:
            return surface


def save(path: Path, pixels: np.ndarray) -> None:
    """Write pixels, RGB or grey, as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def compose(folder: Path, across: int, images: list[int], seed: int) -> None:
    """Render the parts, and write them one by one and put together."""
    places = {}
    defects = max(DEFECTS, across**2 // 32)
    for side, split in enumerate(("train", "test")):
        n_good, n_defective = images[2 * side : 2 * side + 2]
        for number in range(n_good + n_defective):
            key = 1000 * seed + number
            rng = np.random.default_rng((side, 1, key))
            image = np.empty((PART * across, PART * across, 3), np.uint8)
            mask = np.zeros(image.shape[:2], np.uint8)
            bad = rng.choice(across**2, defects, replace=False) if number >= n_good else []
            for place in range(across**2):
                y, x = PART * (place // across), PART * (place % across)
                if place not in bad:  # no part is in two images: they are held out of each other
                    surface = photograph("good", np.random.default_rng((side, 0, key, place)))
                    save(folder / f"parts/{split}/good/{number}-{place:03}.png", surface.image)
                else:
                    kind = KINDS[place % len(KINDS)]
                    surface = defective_part(kind, np.random.default_rng((side, 2, key, place)))
                    name = f"{number}-{place:03}.png"
                    save(folder / f"parts/{split}/defect/{name}", surface.image)
                    save(
                        folder / f"parts/{split}/masks/defect/{name}", surface.mask * np.uint8(255)
                    )
                image[y : y + PART, x : x + PART] = surface.image
                mask[y : y + PART, x : x + PART] = surface.mask * np.uint8(255)
            kind = "defect" if number >= n_good else "good"
            save(folder / f"whole/{split}/{kind}/{number}.png", image)
            places[f"{split}/{number}"] = sorted(int(place) for place in bad)
            if number >= n_good:
                save(folder / f"whole/{split}/masks/defect/{number}.png", mask)
    (folder / "places.json").write_text(json.dumps(places))
    prepare("folder", folder / "parts", folder / "prepared-parts", width=PART, height=PART)
    side = PART * across
    prepare("folder", folder / "whole", folder / "prepared-whole", width=side, height=side)


def found(folder: Path, across: int, tile: int) -> None:
    """Fit a model on each of the two sets, and compare what they find of the same test parts."""
    parts = Manifest.load(folder / "prepared-parts")
    whole = Manifest.load(folder / "prepared-whole")
    test = [whole.image_path(sample) for sample in whole.part("test")]
    places = json.loads((folder / "places.json").read_text())
    truth = np.zeros((len(test), across**2), bool)
    for row, path in zip(truth, test, strict=True):
        row[places[f"test/{path.stem.rpartition('-')[2]}"]] = True

    for name, manifest in (("put together", whole), ("one by one", parts)):
        start = time.perf_counter()
        detector = PatchCoreDual(tile=(tile, tile) if manifest is whole else None).fit(manifest)
        fitted, start = time.perf_counter() - start, time.perf_counter()
        scores = np.empty(truth.shape)
        for row, path in zip(scores, test, strict=True):
            image = read_image(path)
            if manifest is parts:
                row[:] = [score_grid(detector, part).max() for part in cut(image, across)]
            else:
                grid = score_grid(detector, image)
                row[:] = [part.max() for part in cut(grid, across)]
        inspected = (time.perf_counter() - start) / len(test)
        print(f"{name}: fitted in {fitted:.0f} s, {inspected:.1f} s an image", flush=True)
        report(scores, truth, detector)
        if manifest is whole:
            detector.save(folder / "model-large", overwrite=True)


def cut(image: np.ndarray, across: int) -> list[np.ndarray]:
    """An image, or its grid, in `across` times `across` parts, row by row."""
    rows = np.split(image, across)
    return [np.ascontiguousarray(part) for row in rows for part in np.split(row, across, axis=1)]


def score_grid(detector: PatchCoreDual, image: np.ndarray) -> np.ndarray:
    """The patch scores of an image, float32 `[h, w]`."""
    model = detector.model
    features = patches_of(as_set(detector.embedder, detector.settings), image)
    banks = model.normal_bank, model.defect_bank
    return model.rule(
        search_adaptively(features, *banks, model.probe, model.rule, exact_share=1.0)
    ).grid


def report(scores: np.ndarray, truth: np.ndarray, detector: PatchCoreDual) -> None:
    """Print how well defects are found, part by part and image by image.

    An image is rejected for its most suspicious part.

    Args:
        scores, truth: `[images, parts]`, the scores of parts, and which of them have a defect.
    """
    for what, score, bad in (
        ("parts", scores.ravel(), truth.ravel()),
        ("images", scores.max(axis=1), truth.any(axis=1)),
    ):
        found = [np.mean(score[bad] > np.quantile(score[~bad], 1 - rate)) for rate in RATES]
        at = ", ".join(f"{f:.2f} at {r:.0%}" for f, r in zip(found, RATES, strict=True))
        print(
            f"  {what}: {sum(~bad)} good, {sum(bad)} defective, AUROC {auroc(score, bad):.3f}, "
            f"found {at} false alarms",
            flush=True,
        )
        for rate in ALLOWED:
            threshold = detector.model.calibration.thresholds(detector.model.rule, rate).image
            print(
                f"    threshold for {rate:.0%} ({threshold.promised:.1%} promised): "
                f"{sum(score[bad] > threshold.value)} found, "
                f"{sum(score[~bad] > threshold.value)} false",
                flush=True,
            )


def texture(side: int) -> np.ndarray:
    """A large image of rendered parts, uint8 `[side, side, 3]`."""
    parts = [photograph("good", np.random.default_rng((9, i))).image for i in range(12)]
    chosen = np.random.default_rng(0).integers(12, size=(-(-side // PART),) * 2)
    rows = [np.concatenate([parts[i] for i in row], axis=1) for row in chosen.tolist()]
    return np.ascontiguousarray(np.concatenate(rows)[:side, :side])


def seams(side: int) -> None:
    """The largest difference of features from those of one pass, by overlap."""
    image = texture(side)
    embedder = network()
    one = embedder(image[None])[0]
    spread = np.linalg.norm(one - one.mean(axis=(0, 1)), axis=-1).mean()
    for overlap in OVERLAPS:
        difference = TiledEmbedder(embedder, (512, 512), overlap)(image[None])[0] - one
        relative = np.linalg.norm(difference, axis=-1) / spread
        print(f"overlap {overlap}: largest {relative.max():.2e}, mean {relative.mean():.2e}")


def cost(side: int) -> None:
    """Seconds of the processor per megapixel by size of the tiles, and their ratio to one pass.

    With one thread they hardly depend on what else runs.
    """
    image = texture(side)
    embedder = network()
    ways = [embedder, *(TiledEmbedder(embedder, (tile, tile)) for tile in TILES)]
    seconds = []
    for way in ways:
        rounds = []
        for _ in range(2):  # the first one prepares the graph
            start = time.process_time()
            seen = patches_of(way, image)
            for _ in () if isinstance(seen, np.ndarray) else seen.blocks():
                pass
            rounds.append(time.process_time() - start)
        seconds.append(rounds[-1] / side**2 * 1e6)
        name = (
            f"tiles of {way.tile[0]}, overlap {way.overlap}" if way is not embedder else "one pass"
        )
        print(f"{name}: {seconds[-1]:.2f} s per megapixel, {seconds[-1] / seconds[0]:.2f} times")


def network():
    """The default network at the resolutions of the default rule."""
    return load_embedder(
        "efficientnet_lite0", resolutions=(1, 2, 4), count_padding=False, device="cpu"
    )


def memory(folder: Path, side: int) -> None:
    """The peak of a process that inspects one image, by the command line.

    The model is the one that `found` fitted, made to take images of this size, in tiles of 1024 and
    then, where that is allowed, in one pass.
    """
    path, model = folder / f"texture-{side}.png", folder / f"model-{side}"
    save(path, texture(side))
    large = load_model(folder / "model-large")
    command = [sys.executable, "-c", RUN, "inspect", str(model), str(path)]
    for tile in ((1024, 1024), None) if side**2 <= MAX_PIXELS else ((1024, 1024),):
        settings = large.settings.model_copy(update={"tile": tile})
        save_model(replace(large, size=(side, side), settings=settings), model, overwrite=True)
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        seconds = time.perf_counter() - start
        how = "tiles of 1024x1024" if tile else "one pass"
        print(f"{side}x{side}, {how}: peak {most} MiB, {seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("compose", "found", "seams", "cost", "memory"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--side", type=int, default=1728)
    parser.add_argument("--images", type=int, nargs=4, default=IMAGES)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.what == "seams":
        seams(given.side)
    elif given.what == "cost":
        cost(given.side)
    elif given.what == "memory":
        memory(given.folder, given.side)
    elif given.what == "compose":
        compose(given.folder, given.side // PART, given.images, given.seed)
    else:
        found(given.folder, given.side // PART, given.tile)


if __name__ == "__main__":
    main()
