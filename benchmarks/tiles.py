"""Large images by tiles: are defects found as well as on single parts, and what does it cost?

    python benchmarks/tiles.py compose FOLDER --side 4096
    python benchmarks/tiles.py found FOLDER --side 4096
    python benchmarks/tiles.py seams --side 1536
    python benchmarks/tiles.py cost --side 2048
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
from patchcore_dual.data.reading import read_image
from patchcore_dual.demo.surfaces import KINDS, Surface, photograph
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.metrics import auroc
from patchcore_dual.features import TiledEmbedder, load_embedder
from patchcore_dual.features.inspected import patches_of
from patchcore_dual.model import load_model, save_model
from patchcore_dual.scoring.blocks import gather_in_blocks

PART = 256  # pixels of a part
SMALLEST, LARGEST = 8, 40  # pixels of a defect, its longer side
IMAGES = {"train": (4, 2), "test": (2, 2)}  # good and defective large images
DEFECTS = 12  # parts with a defect in a large image
RUN = "from patchcore_dual.cli.main import main; main()"
TILE, OVERLAPS, TILES = (1024, 1024), (128, 192, 256, 320, 384), (256, 512, 768, 1024)


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


def compose(folder: Path, across: int) -> None:
    """Render the parts, and write them one by one and put together."""
    places = {}
    for side, split in enumerate(("train", "test")):
        n_good, n_defective = IMAGES[split]
        for number in range(n_good + n_defective):
            rng = np.random.default_rng((side, 1, number))
            image = np.empty((PART * across, PART * across, 3), np.uint8)
            mask = np.zeros(image.shape[:2], np.uint8)
            bad = rng.choice(across**2, DEFECTS, replace=False) if number >= n_good else []
            for place in range(across**2):
                y, x = PART * (place // across), PART * (place % across)
                if place not in bad:  # no part is in two images: they are held out of each other
                    surface = photograph("good", np.random.default_rng((side, 0, number, place)))
                    save(folder / f"parts/{split}/good/{number}-{place:03}.png", surface.image)
                else:
                    kind = KINDS[place % len(KINDS)]
                    surface = defective_part(kind, np.random.default_rng((side, 2, number, place)))
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


def found(folder: Path, across: int) -> None:
    """Fit a model on each of the two sets, and compare the scores of the same test parts."""
    small = PatchCoreDual().fit(Manifest.load(folder / "prepared-parts"))
    test = Manifest.load(folder / "prepared-parts").part("test")
    paths = [test.image_path(sample) for sample in test]
    scores = np.array([one.score for one in small.inspect_many(paths)])
    report("one by one", scores, np.array([s.is_defective for s in test]), small)
    large = PatchCoreDual(tile=TILE)
    start = time.perf_counter()
    large.fit(Manifest.load(folder / "prepared-whole"))
    print(f"fitted in {time.perf_counter() - start:.0f} s, peak {peak()} MiB", flush=True)
    large.save(folder / "model-large", overwrite=True)
    places = json.loads((folder / "places.json").read_text())
    scores, truth, verdicts = [], [], []
    for path in sorted((folder / "whole/test").glob("[gd]*/*.png")):
        start = time.perf_counter()
        verdicts.append(f"{path.parent.name}: {large.inspect(path).verdict}")
        print(f"inspected in {time.perf_counter() - start:.1f} s", flush=True)
        grid = score_grid(large, read_image(path))
        cells = len(grid) // across
        by_part = grid.reshape(across, cells, across, cells).max(axis=(1, 3)).ravel()
        bad = places[f"test/{path.stem}"]
        scores += by_part.tolist()
        truth += [place in bad for place in range(across**2)]
    report("put together, by tiles", np.array(scores), np.array(truth), large)
    print(", ".join(verdicts))


def score_grid(detector: PatchCoreDual, image: np.ndarray) -> np.ndarray:
    """The patch scores of an image, float32 `[h, w]`."""
    model = detector.model
    tiled = TiledEmbedder(detector.embedder, TILE)
    banks = model.normal_bank, model.defect_bank
    return model.rule(
        gather_in_blocks(tiled.grid(image), *banks, model.probe, weighted=model.rule.weighted)
    ).grid


def report(
    name: str, scores: np.ndarray, is_defective: np.ndarray, detector: PatchCoreDual
) -> None:
    """Print how well parts are told apart, and the verdicts at the model's own threshold."""
    good, bad = scores[~is_defective], scores[is_defective]
    own = detector.model.thresholds.image.value
    equal = np.quantile(good, 0.99)
    print(
        f"{name}: {len(good)} good and {len(bad)} defective parts, AUROC "
        f"{auroc(scores, is_defective):.4f}; at 1 % false alarms {np.mean(bad > equal):.3f} found; "
        f"at its own threshold {np.mean(bad > own):.3f} found, {np.mean(good > own):.4f} false",
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
    """Seconds per megapixel by size of the tiles, and their ratio to one pass."""
    image = texture(side)
    embedder = network()
    ways = [embedder, *(TiledEmbedder(embedder, (tile, tile)) for tile in TILES)]
    seconds = []
    for way in ways:
        rounds = []
        for _ in range(3):  # the first one prepares the graph
            start = time.perf_counter()
            seen = patches_of(way, image)
            for _ in () if isinstance(seen, np.ndarray) else seen.blocks():
                pass
            rounds.append(time.perf_counter() - start)
        seconds.append(min(rounds[1:]) / side**2 * 1e6)
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

    The model is the one that `found` fitted, made to take images of this size.
    """
    path, model = folder / f"texture-{side}.png", folder / f"model-{side}"
    save(path, texture(side))
    save_model(
        replace(load_model(folder / "model-large"), size=(side, side)), model, overwrite=True
    )
    command = [sys.executable, "-c", RUN, "inspect", str(model), str(path)]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"{side}x{side}: peak {most} MiB, {time.perf_counter() - start:.0f} s")


def peak() -> int:
    """MiB of this process at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("compose", "found", "seams", "cost", "memory"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--side", type=int, default=2048)
    given = parser.parse_args()
    if given.what == "seams":
        seams(given.side)
    elif given.what == "cost":
        cost(given.side)
    elif given.what == "memory":
        memory(given.folder, given.side)
    elif given.what == "compose":
        compose(given.folder, given.side // PART)
    else:
        found(given.folder, given.side // PART)


if __name__ == "__main__":
    main()
