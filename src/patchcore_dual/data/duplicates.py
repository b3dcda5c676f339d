"""Finding images that show the same thing: exact copies by pixels, near duplicates by likeness."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.manifest import Label

THUMBNAIL_SIDE = 64
# Measured on KolektorSDD and Magnetic Tile (thumbnails of 64 x 64 pixels, shifts of up to 2).
# Blurred, a grainy surface still agrees with itself when it is moved by half a thumbnail pixel.
# KolektorSDD: different parts reach at most .83, recompressed copies and those moved by up to
# 2 % lie above .95. Magnetic Tile, pairs of exposures of one tile: precision .97, recall .85.
NEAR_CORRELATION = 0.96
BLUR_SIGMA = 2.0
MAX_SHIFT = 2
# Pairs that are alike correlate far above this at a quarter of the resolution.
COARSE_CORRELATION = 0.8


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of an image for comparison: about 4 KiB, whatever its size."""

    name: str
    pixels: str
    thumbnail: NDArray[np.uint8]
    label: Label
    mask: str


@dataclass(frozen=True)
class CopySet:
    """Images of exactly the same pixels, in the order of the data set."""

    images: tuple[str, ...]
    labels_differ: bool
    masks_differ: bool

    def __str__(self) -> str:
        what = {"labels": self.labels_differ, "masks": self.masks_differ}
        differences = [name for name, differ in what.items() if differ]
        remark = f" ({' and '.join(differences)} differ)" if differences else ""
        return " = ".join(self.images) + remark


@dataclass(frozen=True)
class NearPair:
    """Two images that show nearly the same, and how alike they are (1 is the most)."""

    first: str
    second: str
    correlation: float

    def __str__(self) -> str:
        return f"{self.first} ~ {self.second} ({self.correlation:.3f})"


def digest(array: NDArray[np.generic]) -> str:
    """sha256 of an array's shape and values."""
    data = hashlib.sha256(str(array.shape).encode())
    data.update(np.ascontiguousarray(array).view(np.uint8).data)
    return data.hexdigest()


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] as grey uint8 [64, 64], each pixel the mean of its area."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(
        cv2.resize(grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    )


def find_copies(prints: Sequence[Fingerprint]) -> list[CopySet]:
    """The sets of two or more images with the same size and the same pixels."""
    by_pixels: defaultdict[str, list[Fingerprint]] = defaultdict(list)
    for fingerprint in prints:
        by_pixels[fingerprint.pixels].append(fingerprint)
    return [
        CopySet(
            images=tuple(m.name for m in members),
            labels_differ=len({m.label for m in members}) > 1,
            masks_differ=len({m.mask for m in members}) > 1,
        )
        for members in by_pixels.values()
        if len(members) > 1
    ]


def find_near_duplicates(prints: Sequence[Fingerprint]) -> list[NearPair]:
    """The pairs of images that are nearly, but not exactly, the same.

    Thumbnails are standardised (a change of brightness or contrast does not count), their mean
    over the data set is taken away (nor does what all parts share: outline, light), and two are
    compared by their greatest correlation over small shifts. Two count as near duplicates above
    `NEAR_CORRELATION`.
    """
    distinct = list({p.pixels: p for p in reversed(prints)}.values())[::-1]
    if len(distinct) < 2:
        return []
    features = _features(np.stack([p.thumbnail for p in distinct]))
    pairs = []
    for i, j in _candidates(features):
        likeness = _correlation(features[i], features[j])
        if likeness > NEAR_CORRELATION:
            pairs.append(NearPair(distinct[i].name, distinct[j].name, round(likeness, 4)))
    return pairs


def _features(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    features = _standardised(thumbnails.astype(np.float32))
    features -= features.mean(0)
    return np.stack([cv2.GaussianBlur(f, (0, 0), BLUR_SIGMA) for f in features])


def _candidates(features: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Pairs i < j that are alike at a quarter of the resolution, where small shifts are nothing."""
    side = THUMBNAIL_SIDE // 4
    coarse = features.reshape(-1, side, 4, side, 4).mean((2, 4))
    rows = _standardised(coarse).reshape(len(coarse), -1) / np.float32(side)
    for i in range(len(rows) - 1):
        alike = np.nonzero(rows[i + 1 :] @ rows[i] > COARSE_CORRELATION)[0]
        yield from ((i, i + 1 + int(j)) for j in alike)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """The greatest correlation of two features over shifts of up to MAX_SHIFT pixels."""
    centre = first[MAX_SHIFT:-MAX_SHIFT, MAX_SHIFT:-MAX_SHIFT]
    return float(cv2.matchTemplate(second, centre, cv2.TM_CCOEFF_NORMED).max())


def _standardised(images: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = images - images.mean((1, 2), keepdims=True)
    return np.asarray(centred / np.maximum(centred.std((1, 2), keepdims=True), 1e-6))
