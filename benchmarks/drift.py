"""Drift: false alarms on unchanged test images, and how soon changes are found (docs/drift.md).

    python benchmarks/drift.py MODEL PREPARED --cache FILE.npz [--orders 1000]

The model has to be fitted on the training images of PREPARED. Test images are measured once
as they are and once for each change; the orders are made of these figures.
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.live.sentinel import Sentinel
from patchcore_dual.scoring import Nearest
from patchcore_dual.scoring.appearance import GRID, STATISTICS, Appearance
from patchcore_dual.scoring.drift_reference import DriftReference

BEFORE = 50  # unchanged images before a change that comes in mid-stream
ORDERS = 100  # in which each change is looked for
LONGEST = 500  # images after a change in which it is looked for; they are drawn with replacement


STRENGTHS = (1, 2, 3, 4)  # of each change; 1 is what its name says


def _shading(image: np.ndarray, strength: float) -> np.ndarray:
    """Brightness that falls from 10 % more at the left to 10 % less at the right."""
    by = 0.1 * strength
    return image * np.linspace(1 + by, 1 - by, image.shape[1])[None, :, None]


def _shift(image: np.ndarray, strength: float) -> np.ndarray:
    moved = np.array([[1, 0, 8 * strength], [0, 1, 0]], np.float32)
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, moved, size, borderMode=cv2.BORDER_REPLICATE)


def _dirt(image: np.ndarray, strength: float) -> np.ndarray:
    """A corner, a quarter of each side, half as bright, as of a dirty lens."""
    height, width = image.shape[:2]
    image = image.astype(np.float64)
    image[: height // 4, : width // 4] *= 0.5**strength
    return image


CHANGES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "gain +10 %": lambda x, strength: x * (1 + 0.1 * strength),
    "offset +10": lambda x, strength: x + 10.0 * strength,
    "gamma 0.8": lambda x, strength: 255 * (x / 255) ** 0.8**strength,
    "colour, red +5 %, blue -5 %": lambda x, strength: (
        x * (1 + strength * np.array([0.05, 0, -0.05]))
    ),
    "blur, sigma 1": lambda x, strength: cv2.GaussianBlur(x, (0, 0), strength),
    "shading ±10 %": _shading,
    "shift by 8 px": _shift,
    "dirt in one corner": _dirt,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--changed", type=int, default=250, help="good images that are changed")
    parser.add_argument("--level", type=float, default=0.01)
    given = parser.parse_args()
    detector = PatchCoreDual.load(given.model)
    if not given.cache.is_file():
        np.savez(given.cache, **_measured(detector, given.prepared, given.changed))
    seen = {
        name: [
            Appearance(row[:-32], row[-32:-16].reshape(GRID, GRID), row[-16:].reshape(GRID, GRID))
            for row in rows
        ]
        for name, rows in np.load(given.cache).items()
    }
    reference = detector.model.drift
    assert reference is not None
    good, defective = seen["good"], seen["defective"]
    print(
        f"{given.prepared.name}: reference of {len(reference.names)} good training images in "
        f"{len(np.unique(reference.group))} groups; {len(good)} good and {len(defective)} "
        f"defective test images; {given.orders} orders; level {given.level:g}\n"
    )
    _halves(reference, given.level)
    random = np.random.default_rng(0)

    def found_at(stream: list[Appearance], seed: int) -> int | None:
        sentinel = Sentinel(reference, given.level, seed)
        return next((n for n, one in enumerate(stream, 1) if sentinel.add(one)), None)

    def shuffled(images: list[Appearance]) -> list[Appearance]:
        return [images[i] for i in random.permutation(len(images))]

    print("| stream | orders with an alarm |\n|---|---|")
    for share in (0, 0.02, 0.1):
        alarms = 0
        for order in range(given.orders):
            count = round(share / (1 - share) * len(good))
            chosen = random.permutation(len(defective))[:count]
            stream = shuffled(good + [defective[i] for i in chosen])
            alarms += found_at(stream, order) is not None
        print(f"| good, {share:.0%} defective | {alarms} of {given.orders} |", flush=True)
    print(
        f"\nOver {ORDERS} orders each, images until found (median, 90th percentile), where changed "
        f"images come from the start and after {BEFORE} unchanged ones:\n\n"
        "| change | times | found | images | found later | images |\n|---|---|---|---|---|---|"
    )
    for name, strength in product(CHANGES, STRENGTHS):
        changed, cells = f"{name} × {strength}", []
        for before in (0, BEFORE):
            counts = []
            for order in range(ORDERS):
                stream = [good[i] for i in random.permutation(len(good))[:before]]
                drawn = random.integers(0, len(seen[changed]), LONGEST)
                stream += [seen[changed][i] for i in drawn]
                at = found_at(stream, order)
                counts.append(np.inf if at is None else at - before)
            share = np.mean(np.isfinite(counts))
            middle, late = np.quantile(counts, [0.5, 0.9], method="higher")
            cells.append(f"{share:.0%} | {_count(middle)}, {_count(late)}")
        print(f"| {name} | {strength} | {' | '.join(cells)} |", flush=True)


def _halves(reference: DriftReference, level: float) -> None:
    """Half of the training parts as a stream against the other half, with and without groups."""
    random, groups, n = np.random.default_rng(1), np.unique(reference.group), len(reference.names)
    alarms = {"as they are": 0, "ignored": 0}
    for order in range(ORDERS):
        chosen = np.isin(reference.group, random.permutation(groups)[: len(groups) // 2])
        stream = [
            Appearance(
                *(x[i] for x in (reference.values, reference.brightness, reference.distance))
            )
            for i in random.permutation(np.flatnonzero(~chosen))
        ]
        for name, group in (("as they are", reference.group), ("ignored", np.arange(n))):
            half = DriftReference(
                tuple(np.array(reference.names)[chosen]),
                group[chosen],
                reference.is_taught[chosen],
                reference.values[chosen],
                reference.brightness[chosen],
                reference.distance[chosen],
                reference.usual,
            )
            sentinel = Sentinel(half, level, order)
            alarms[name] += sum(map(sentinel.add, stream)) > 0
    texts = [f"groups {name}: {count} of {ORDERS}" for name, count in alarms.items()]
    print(f"Half the training parts against the others, orders with an alarm: {'; '.join(texts)}\n")


def _count(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "not found"


def _measured(detector: PatchCoreDual, prepared: Path, changed: int) -> dict[str, np.ndarray]:
    manifest = Manifest.load(prepared).part("test").real()
    images = {
        label: [manifest.read_image(sample) for sample in manifest.part(label=label)]
        for label in ("negative", "positive")
    }

    def rows(
        change: Callable[[np.ndarray], np.ndarray] | None, label: str, most: int = 10**6
    ) -> np.ndarray:
        found = []
        for image in images[label][:: -(-len(images[label]) // most)]:
            if change is not None:
                image = np.clip(np.rint(change(image)), 0, 255).astype(np.uint8)
            normal = detector.model.normal_bank.nearest(detector.embed(image))[0]
            appearance = _appearance(detector, image, normal)
            grids = appearance.brightness.ravel(), appearance.distance.ravel()
            found.append(np.concatenate([appearance.values, *grids]))
        return np.array(found).reshape(-1, len(STATISTICS) + 2 * GRID * GRID)

    measured = {"good": rows(None, "negative"), "defective": rows(None, "positive")}
    for name, strength in product(CHANGES, STRENGTHS):
        change = partial(CHANGES[name], strength=strength)
        measured[f"{name} × {strength}"] = rows(change, "negative", changed)
        print(f"measured: {name} × {strength}", flush=True)
    return measured


def _appearance(detector: PatchCoreDual, image: np.ndarray, distance: np.ndarray) -> Appearance:
    index = np.zeros(distance.shape, np.int64)
    appearance = detector.model.appearance(image, Nearest(distance, index))
    assert appearance is not None
    return appearance


if __name__ == "__main__":
    main()
