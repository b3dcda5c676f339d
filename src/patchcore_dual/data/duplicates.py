"""`Fingerprint`: a summary of an image to find duplicates by; and exact duplicates."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.sample import Label

PICTURE_PIXELS = 256 * 256


@dataclass(frozen=True)
class Fingerprint:
    """A summary of an image to compare it by: about 64 KiB for an image of any size.

    Attributes:
        name: path of the image, as in reports.
        pixels: digest of the image.
        picture: uint8 [h, w], the image in grey, reduced to about `PICTURE_PIXELS`.
        scale: pixels of the picture per pixel of the image, at most 1.
        label: class of the part.
        mask: digest of the mask; empty where there is none.
    """

    name: str
    pixels: str
    picture: NDArray[np.uint8]
    scale: float
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


def digest(array: NDArray[np.generic]) -> str:
    """Hex SHA-256 digest of an array's shape and values."""
    data = hashlib.sha256(str(array.shape).encode())
    data.update(np.ascontiguousarray(array).view(np.uint8).data)
    return data.hexdigest()


def fingerprint(name: str, image: NDArray[np.uint8], label: Label, mask: str) -> Fingerprint:
    """The fingerprint of an image, uint8 [H, W, 3]; `mask` is the digest of its mask, or empty.

    >>> image = np.full((600, 400, 3), 90, np.uint8)
    >>> one = fingerprint("good/7.png", image, "negative", "")
    >>> one.picture.shape, round(one.scale, 3)
    ((314, 209), 0.523)
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    scale = min(1.0, math.sqrt(PICTURE_PIXELS / grey.size))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return Fingerprint(name, digest(image), np.asarray(grey), scale, label, mask)


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
