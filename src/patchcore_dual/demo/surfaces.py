"""The demo's data set: generated photographs of one machined steel part, some of them damaged.

A part is a relief (height, albedo, direction of grain) and a photograph is that relief under one
lamp. A defect is a change of the relief, so light and grain treat it as they treat the part, and
its mask is the difference between two renderings of the same part, with and without it. Good and
damaged parts alike carry, now and then, what should not be rejected: oil, stains, dust, chatter.
Lengths are in pixels of the finished image.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from patchcore_dual.demo.marks import DAMAGE, chatter, dust, oil, stain
from patchcore_dual.demo.relief import SIZE, Array, machine, shine

KINDS = ("crack", "spot", "scratch")
MASK_LEVEL = 8  # grey levels of 255: a pixel that changed by more is in the mask


class Surface(NamedTuple):
    """One photograph: images uint8 [256, 256, 3] RGB, mask bool [256, 256]."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    flawless: NDArray[np.uint8]  # same part, same lamp, same camera noise, without the defect


def make_surfaces(
    folder: Path,
    *,
    seed: int = 0,
    train_good: int = 120,
    train_defective: int = 12,
    test_good: int = 60,
    test_defective: int = 36,
) -> None:
    """Write a plain-folder data set of 256x256 RGB PNGs; `KINDS` take the defective ones in turn.

    `folder/{train,test}/{good,crack,spot,scratch}/NNN.png`, and for the defective ones
    `folder/{train,test}/masks/KIND/NNN.png`, one channel, 255 where the defect changed the image
    by more than `MASK_LEVEL`, 0 elsewhere. An image depends on nothing but the seed, its split,
    its kind and its number. Files of the same name are replaced.
    """

    def make(split: str, kind: str, number: int) -> None:
        key = (seed, ("train", "test").index(split), ("good", *KINDS).index(kind), number)
        surface = photograph(kind, np.random.default_rng(key))
        _write(folder / split / kind / f"{number:03}.png", surface.image[..., ::-1])
        if kind != "good":
            mask = surface.mask.astype(np.uint8) * 255
            _write(folder / split / "masks" / kind / f"{number:03}.png", mask)

    jobs = [("train", "good", i) for i in range(train_good)]
    jobs += [("test", "good", i) for i in range(test_good)]
    for split, count in (("train", train_defective), ("test", test_defective)):
        jobs += [(split, KINDS[i % len(KINDS)], i // len(KINDS)) for i in range(count)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda job: make(*job), jobs))


def photograph(kind: str, rng: Generator) -> Surface:
    """Machine a part, damage it (`kind` is one of `KINDS`, or "good") and take its picture."""
    part = machine(rng)
    for harmless in (oil, stain, dust, chatter):
        if rng.random() < 1 / 12:  # three parts in ten carry something
            part = harmless(part, rng)
    lamp = rng.uniform((-0.1, -0.24, 0.88), (0.1, -0.12, 1.1)).tolist()
    flawless = picture = shine(part, *lamp)
    noise = rng.standard_normal((SIZE, SIZE, 1), np.float32) * np.sqrt(1.5 + flawless / 40)
    mask = np.zeros((SIZE, SIZE), bool)
    while kind != "good" and not _noticeable(picture - flawless, mask, flawless):
        picture = shine(DAMAGE[kind](part, rng), *lamp)
        mask = np.abs(picture - flawless).max(-1) > MASK_LEVEL
    return Surface(_grey_levels(picture + noise), mask, _grey_levels(flawless + noise))


def _noticeable(change: Array, mask: NDArray[np.bool_], flawless: Array) -> bool:
    """Whether a person who looks carefully can tell the defect from the grain around it."""
    if mask.sum() < 30:
        return False
    grain = (flawless - cv2.blur(flawless, (9, 9)))[mask].std()
    return bool(np.percentile(np.abs(change[mask]), 75) > 10 + grain)


def _grey_levels(picture: Array) -> NDArray[np.uint8]:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
