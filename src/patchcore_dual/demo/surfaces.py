"""The demo's data set: generated photographs of a machined steel part, some of them defective.

A part is a relief (height, albedo, direction of grain), and a photograph renders this relief under
one lamp. A defect is a change of the relief, so it is lit and textured like the part, and its mask
is the difference between two renderings of the same part, with and without the defect. Normal and
defective parts alike have occasional harmless marks, which should not be rejected: oil, stains,
dust, chatter. Lengths are in pixels of the finished image.
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
from patchcore_dual.utils.files import write_atomically

KINDS = ("crack", "spot", "scratch")
MASK_LEVEL = 8  # grey levels of 255: a pixel that changed by more is in the mask


class Surface(NamedTuple):
    """One photograph.

    Attributes:
        image: uint8 [256, 256, 3], RGB.
        mask: bool [256, 256], True where the defect changed the image.
        flawless: uint8 [256, 256, 3]: the same part, lamp and camera noise without the defect.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    flawless: NDArray[np.uint8]


def make_surfaces(
    folder: Path,
    *,
    seed: int = 0,
    train_good: int = 120,
    train_defective: int = 12,
    test_good: int = 60,
    test_defective: int = 36,
) -> None:
    """Write a data set in the layout `folder`: 256x256 RGB PNG files, and masks of the defects.

    The images are `{train,test}/{good,crack,spot,scratch}/NNN.png`. The masks of the defective
    ones are `{train,test}/masks/KIND/NNN.png`: one channel, 255 where the defect changed the image
    by more than `MASK_LEVEL`, else 0. The defective images have the `KINDS` in turn. An image
    depends only on the seed, its split, its kind and its number. Files of the same name are
    replaced.

    Args:
        folder: where to write.
        seed: of the whole data set.
        train_good, train_defective, test_good, test_defective: numbers of images.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     make_surfaces(
    ...         Path(folder), train_good=1, train_defective=0, test_good=0, test_defective=1
    ...     )
    ...     print(*sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*.png")))
    test/crack/000.png test/masks/crack/000.png train/good/000.png
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
    """Render one part.

    Args:
        kind: one of `KINDS`, or "good" for a part without a defect.
        rng: where all randomness comes from.
    """
    part = machine(rng)
    for harmless in (oil, stain, dust, chatter):
        if rng.random() < 1 / 12:  # three parts in ten have a mark
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
    """Whether a careful observer can tell the defect from the grain around it."""
    if mask.sum() < 30:
        return False
    grain = (flawless - cv2.blur(flawless, (9, 9)))[mask].std()
    return bool(np.percentile(np.abs(change[mask]), 75) > 10 + grain)


def _grey_levels(picture: Array) -> NDArray[np.uint8]:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, cv2.imencode(".png", image)[1].tobytes())
