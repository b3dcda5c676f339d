"""Exact duplicates, found by their pixels, and near duplicates, found by correlation."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.sample import Label

THUMBNAIL_SIDE = 64
# The constants below were measured on KolektorSDD and Magnetic Tile. On KolektorSDD, different
# parts correlate by at most .83; recompressed copies, and copies moved by up to 2 %, by more than
# .95. On Magnetic Tile, pairs of exposures of one tile are found with precision .97, recall .85.
NEAR_CORRELATION = 0.96
# In thumbnail pixels. A blurred grainy surface still correlates with itself when it is moved by
# half a pixel.
BLUR_SIGMA = 2.0
MAX_SHIFT = 2
# Near duplicates correlate far above this at a quarter of the resolution.
COARSE_CORRELATION = 0.8


@dataclass(frozen=True)
class Fingerprint:
    """A summary of an image to compare it by: about 4 KiB for an image of any size.

    Attributes:
        name: path of the image, as in reports.
        pixels: digest of the image.
        thumbnail: uint8 [64, 64], grey.
        label: class of the part.
        mask: digest of the mask; empty where there is none.
    """

    name: str
    pixels: str
    thumbnail: NDArray[np.uint8]
    label: Label
    mask: str


@dataclass(frozen=True)
class DuplicateSet:
    """Images of the same size and the same pixels, in the order of the data set."""

    images: tuple[str, ...]
    labels_differ: bool
    masks_differ: bool

    def __str__(self) -> str:
        differ = {"labels": self.labels_differ, "masks": self.masks_differ}
        differences = [name for name, differs in differ.items() if differs]
        remark = f" ({' and '.join(differences)} differ)" if differences else ""
        return " = ".join(self.images) + remark


@dataclass(frozen=True)
class NearDuplicatePair:
    """Two images that are nearly the same, and their correlation (at most 1)."""

    first: str
    second: str
    correlation: float

    def __str__(self) -> str:
        return f"{self.first} ~ {self.second} ({self.correlation:.3f})"


def digest(array: NDArray[np.generic]) -> str:
    """Hex SHA-256 digest of an array's shape and values."""
    data = hashlib.sha256(str(array.shape).encode())
    data.update(np.ascontiguousarray(array).view(np.uint8).data)
    return data.hexdigest()


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image, uint8 [H, W, 3], as grey uint8 [64, 64]; each pixel is the mean of its area."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(
        cv2.resize(grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    )


def find_exact_duplicates(fingerprints: Sequence[Fingerprint]) -> list[DuplicateSet]:
    """The sets of two or more images with the same size and the same pixels."""
    by_pixels: defaultdict[str, list[Fingerprint]] = defaultdict(list)
    for fingerprint in fingerprints:
        by_pixels[fingerprint.pixels].append(fingerprint)
    return [
        DuplicateSet(
            images=tuple(m.name for m in members),
            labels_differ=len({m.label for m in members}) > 1,
            masks_differ=len({m.mask for m in members}) > 1,
        )
        for members in by_pixels.values()
        if len(members) > 1
    ]


def find_near_duplicates(fingerprints: Sequence[Fingerprint]) -> list[NearDuplicatePair]:
    """The pairs of images that are nearly, but not exactly, the same.

    Thumbnails are standardised, so that brightness and contrast do not matter, and the mean over
    the data set is subtracted, which removes what all images have in common, such as outline and
    illumination. Two images are near duplicates if their correlation, maximised over small
    shifts, is above `NEAR_CORRELATION`.

    Of exact duplicates, only the first is compared with others.
    """
    distinct = list({f.pixels: f for f in reversed(fingerprints)}.values())[::-1]
    if len(distinct) < 2:
        return []
    features = _features(np.stack([f.thumbnail for f in distinct]))
    pairs = []
    for i, j in _candidates(features):
        correlation = _correlation(features[i], features[j])
        if correlation > NEAR_CORRELATION:
            names = distinct[i].name, distinct[j].name
            pairs.append(NearDuplicatePair(*names, round(correlation, 4)))
    return pairs


def _features(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    features = _standardised(thumbnails.astype(np.float32))
    features -= features.mean(0)
    return np.stack([cv2.GaussianBlur(f, (0, 0), BLUR_SIGMA) for f in features])


def _candidates(features: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Pairs i < j that correlate at a quarter of the resolution, where small shifts vanish."""
    side = THUMBNAIL_SIDE // 4
    coarse = features.reshape(-1, side, 4, side, 4).mean((2, 4))
    rows = _standardised(coarse).reshape(len(coarse), -1) / np.float32(side)
    for i in range(len(rows) - 1):
        similar = np.nonzero(rows[i + 1 :] @ rows[i] > COARSE_CORRELATION)[0]
        yield from ((i, i + 1 + int(j)) for j in similar)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """The highest correlation of two features over shifts of up to `MAX_SHIFT` pixels."""
    centre = first[MAX_SHIFT:-MAX_SHIFT, MAX_SHIFT:-MAX_SHIFT]
    return float(cv2.matchTemplate(second, centre, cv2.TM_CCOEFF_NORMED).max())


def _standardised(images: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = images - images.mean((1, 2), keepdims=True)
    return np.asarray(centred / np.maximum(centred.std((1, 2), keepdims=True), 1e-6))
