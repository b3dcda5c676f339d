"""Near duplicates: the same photograph in another file, or the same surface photographed again.

Two parts of one kind look alike, and are no duplicates because of it. The same surface shows in its
micro-texture, compared after registration; a copy of the same photograph, which may be too small or
too strongly compressed for that, agrees everywhere once both are reduced to a thumbnail. Both are
judged against how much the two images resemble their other look-alikes: in a set whose parts all
agree that well, there are no near duplicates.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.duplicates import Fingerprint
from patchcore_dual.data.texture import Texture, agreement, texture_of
from patchcore_dual.utils.progress import Progress, silent

Pair = tuple[int, int]

STAGE = "finding near duplicates"
# Each image is compared in detail with this many others: those with the most similar thumbnails.
CANDIDATES = 16
THUMBNAIL_SIDE, TILE = 64, 8
# In squared grey levels: tiles of thumbnails with less in both are flat. So many others are needed,
# and a tenth of them may differ.
LEAST_VARIANCE, FEWEST_TILES, IGNORED_SHARE = 4.0, 3, 0.1
BLUR_SIGMA = 2.0  # in pixels of the thumbnail, so that small shifts do not matter
# Thumbnails above this correlation look alike. So many such pairs are listed.
ALIKE_CORRELATION = 0.96
LISTED = 20
# Images whose sizes differ by less were cut differently; those with the same proportions otherwise
# were resized.
CUT, SAME_PROPORTIONS = 0.05, 0.02
# A near duplicate reaches one of these, and stands out from look-alikes by so many deviations.
# On KolektorSDD and Magnetic Tile, the agreement of different surfaces is at most .3.
LEAST_AGREEMENT = 0.5
LEAST_CORRELATION = 0.95
DEVIATIONS = 8.0
SMALLEST_DEVIATION = 0.05  # of Fisher's z
FEW_IMAGES = 4  # which have too few pairs to say what is usual for a set


@dataclass(frozen=True)
class NearDuplicatePair:
    """Two images, and how well they correlate (at most 1)."""

    first: str
    second: str
    correlation: float

    def __str__(self) -> str:
        return f"{self.first} ~ {self.second} ({self.correlation:.3f})"


@dataclass(frozen=True)
class Likeness:
    """Which images of a set are alike.

    Attributes:
        near: near duplicates, which belong together.
        n_alike: number of pairs that look alike, but are no near duplicates.
        alike: the first `LISTED` of these by correlation.
    """

    near: list[NearDuplicatePair] = field(default_factory=list)
    n_alike: int = 0
    alike: list[NearDuplicatePair] = field(default_factory=list)


def find_likeness(fingerprints: Sequence[Fingerprint], progress: Progress = silent) -> Likeness:
    """The near duplicates of a set of images, and how many others look alike.

    Of exact duplicates, only the first is compared with others. The effort grows with the number
    of images: each is compared in detail with `CANDIDATES` others. A surface that was photographed
    more than half as many times looks like a set whose parts are all alike, and is not found.

    Args:
        fingerprints: of all images.
        progress: called after each image.
    """
    distinct = list({f.pixels: f for f in reversed(fingerprints)}.values())[::-1]
    if len(distinct) < 2:
        return Likeness()
    thumbnails = np.stack([_thumbnail(f.picture) for f in distinct])
    coarse = _coarse(_standardised(thumbnails))
    pairs = _candidates(coarse)
    agreements = _agreements(distinct, pairs, progress)
    correlations = _correlations(thumbnails, pairs)
    same_surface = _stand_out(pairs, agreements, LEAST_AGREEMENT)
    same_photograph = _stand_out(pairs, correlations, LEAST_CORRELATION)
    measured = np.where(same_surface, agreements, correlations)

    def pair(ij: Pair, correlation: float) -> NearDuplicatePair:
        names = distinct[ij[0]].name, distinct[ij[1]].name
        return NearDuplicatePair(*names, round(float(correlation), 4))

    near = {pairs[k]: measured[k] for k in np.nonzero(same_surface | same_photograph)[0]}
    n_alike, alike = _alike(coarse, near)
    return Likeness(
        [pair(ij, value) for ij, value in near.items()],
        n_alike,
        [pair(ij, value) for value, ij in alike],
    )


def _thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _coarse(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    """A row of norm 1 for each thumbnail: what it does not share with all, coarsely."""
    own = thumbnails - thumbnails.mean(0)
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), BLUR_SIGMA) for image in own])
    side = THUMBNAIL_SIDE // 4
    coarse = _standardised(blurred.reshape(-1, side, 4, side, 4).mean((2, 4)))
    return coarse.reshape(len(coarse), -1) / np.float32(side)


def _standardised(images: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = images - images.mean((1, 2), keepdims=True)
    return np.asarray(centred / np.maximum(centred.std((1, 2), keepdims=True), 1e-6))


def _candidates(coarse: NDArray[np.float32]) -> list[Pair]:
    """Pairs i < j in order, where one is among the `CANDIDATES` most similar of the other."""
    pairs: set[Pair] = set()
    for i, row in enumerate(coarse):
        correlations = coarse @ row
        correlations[i] = -np.inf
        first = np.argsort(-correlations, kind="stable")[: min(CANDIDATES, len(coarse) - 1)]
        pairs.update((min(i, int(j)), max(i, int(j))) for j in first)
    return sorted(pairs)


def _alike(
    coarse: NDArray[np.float32], near: dict[Pair, float]
) -> tuple[int, list[tuple[float, Pair]]]:
    """The number of pairs that look alike and are not in `near`, and the first of them."""
    n_alike = 0
    first: list[tuple[float, Pair]] = []
    joined: defaultdict[int, list[int]] = defaultdict(list)
    for i, j in near:
        joined[i].append(j)
    for i in range(len(coarse) - 1):
        correlations = coarse @ coarse[i]
        correlations[: i + 1] = correlations[joined[i]] = -np.inf
        n_alike += int((correlations > ALIKE_CORRELATION).sum())
        for j in np.argsort(-correlations, kind="stable")[:LISTED].tolist():
            if correlations[j] > ALIKE_CORRELATION:
                first.append((float(correlations[j]), (i, j)))
        first = sorted(first, key=lambda one: (-one[0], one[1]))[:LISTED]
    return n_alike, first


def _agreements(
    fingerprints: Sequence[Fingerprint], pairs: Sequence[Pair], progress: Progress
) -> NDArray[np.float64]:
    """The agreement of the micro-texture of each pair."""

    @lru_cache(maxsize=256)
    def texture(index: int, width: int, height: int) -> Texture:
        picture = fingerprints[index].picture
        if (height, width) == picture.shape:
            return texture_of(picture)
        resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        return texture_of(np.asarray(resized, np.uint8))

    found = []
    for i, j in pairs:
        progress(STAGE, i, len(fingerprints))
        if fingerprints[i].scale > fingerprints[j].scale:  # the coarser one; nothing is enlarged
            i, j = j, i
        height, width = fingerprints[i].picture.shape
        other = texture(j, *_size_beside(fingerprints[i], fingerprints[j]))
        found.append(agreement(texture(i, width, height), other))
    progress(STAGE, len(fingerprints), len(fingerprints))
    return np.array(found)


def _correlations(thumbnails: NDArray[np.float32], pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """For each pair, the correlation that nine tenths of the tiles of its thumbnails reach."""
    n = THUMBNAIL_SIDE // TILE
    tiles = thumbnails.reshape(-1, n, TILE, n, TILE).swapaxes(2, 3).reshape(-1, n * n, TILE**2)
    tiles = tiles - tiles.mean(2, keepdims=True)
    variance = np.square(tiles).mean(2)
    found = np.zeros(len(pairs))
    for k, (i, j) in enumerate(pairs):
        is_used = np.maximum(variance[i], variance[j]) > LEAST_VARIANCE
        if is_used.sum() >= FEWEST_TILES:
            product = (tiles[i, is_used] * tiles[j, is_used]).mean(1)
            norm = np.sqrt(variance[i, is_used] * variance[j, is_used]) + 1e-6
            found[k] = np.quantile(product / norm, IGNORED_SHARE)
    return found


def _size_beside(one: Fingerprint, other: Fingerprint) -> tuple[int, int]:
    """Width and height at which the picture of `other` has the scale of that of `one`."""
    (height, width), (other_height, other_width) = one.picture.shape, other.picture.shape
    factor = one.scale / other.scale
    scaled = max(1, round(other_width * factor)), max(1, round(other_height * factor))
    is_cut = abs(scaled[0] - width) <= CUT * width and abs(scaled[1] - height) <= CUT * height
    stretch = width * other_height / (height * other_width)
    return (width, height) if not is_cut and abs(stretch - 1) <= SAME_PROPORTIONS else scaled


def _stand_out(
    pairs: Sequence[Pair], scores: NDArray[np.float64], least: float
) -> NDArray[np.bool_]:
    """Which pairs reach `least` and stand out from the other pairs of both their images.

    Scores are compared as Fisher's z. What is usual for an image is the median of its other pairs,
    the lower one of two, since some of them may be duplicates too; and for the set, the median of
    that over all images. The deviation is taken from pairs below it, for the same reason.
    """
    z = np.arctanh(np.clip(scores, 0, 1 - 1e-6))
    of_image: defaultdict[int, list[int]] = defaultdict(list)
    for k, images in enumerate(pairs):
        for image in images:
            of_image[image].append(k)
    medians = [_lower_median(z[own]) for own in of_image.values()]
    below = np.concatenate(
        [median - z[own] for median, own in zip(medians, of_image.values(), strict=True)]
    )
    below = below[below > 0]
    deviation = max(float(np.median(below)) / 0.6745 if len(below) else 0.0, SMALLEST_DEVIATION)
    usual_of_set = _lower_median(np.array(medians))

    def usual(k: int) -> float:
        """What is usual for the images of a pair, without the pair itself."""
        others = [[m for m in of_image[image] if m != k] for image in pairs[k]]
        return max((_lower_median(z[own]) for own in others if own), default=-np.inf)

    has_others = len(of_image) > FEW_IMAGES
    return np.array(
        [
            scores[k] >= least
            and z[k] - max(usual(k), usual_of_set if has_others else -np.inf)
            > DEVIATIONS * deviation
            for k in range(len(pairs))
        ]
    )


def _lower_median(values: NDArray[np.float64]) -> float:
    return float(np.quantile(values, 0.5, method="lower"))
