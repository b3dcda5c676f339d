"""Surface from elsewhere on the same good image, to fill defects with."""

import cv2
import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.synthesis.masks import Window

TRIES = 12


def elsewhere(image: np.ndarray, window: Window, turn: float, rng: Rng) -> np.ndarray:
    """What lies at another place, turned, uint8 of the window's size.

    Of a few places tried, the one most like the window in tone, so that the surface is cut and
    not its background.

    Args:
        image: uint8 `[H, W, 3]`.
        window: the place that is filled.
        turn: degrees.
    """
    height, width = (s.stop - s.start for s in window)
    size = np.array(image.shape[1::-1])
    half = np.minimum(np.array([width, height]) / 2, size / 2)
    places = half + rng.random((TRIES, 2)) * (size - 2 * half)
    tone = float(np.median(image[window]))
    off = [_difference(image, place, half, tone) for place in places]
    ranked = np.argsort(off, kind="stable")
    place = places[ranked[rng.integers(TRIES // 4)]]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0)
    to_place = matrix @ np.vstack([np.column_stack([np.eye(2), np.zeros(2)]), [0, 0, 1]])
    to_place[:, 2] += place - np.array([width / 2, height / 2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        image, to_place, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101
    )


def _difference(image: np.ndarray, place: np.ndarray, half: np.ndarray, tone: float) -> float:
    """Mean difference of a box from a tone; every fourth row and column will do."""
    x, y = np.maximum(place - half, 0).astype(int)
    right, bottom = np.ceil(place + half).astype(int)
    return float(np.abs(image[y:bottom:4, x:right:4].astype(np.float32) - tone).mean())


def shuffled(texture: np.ndarray, tile: int, rng: Rng) -> np.ndarray:
    """The tiles of a texture in another order (the structure perturbation of MemSeg)."""
    height, width = texture.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    padded = cv2.copyMakeBorder(
        texture, 0, rows * tile - height, 0, columns * tile - width, cv2.BORDER_REFLECT
    )
    tiles = padded.reshape(rows, tile, columns, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3)
    mixed = tiles[rng.permutation(len(tiles))].reshape(rows, columns, tile, tile, 3)
    return mixed.swapaxes(1, 2).reshape(padded.shape)[:height, :width]


def jittered(texture: np.ndarray, image: np.ndarray, gain: float, rng: Rng) -> np.ndarray:
    """float32: a texture brightened or darkened, and tinted a little unless the image is grey."""
    tint = np.ones(3) if is_grey(image) else rng.uniform(0.97, 1.03, 3)
    return texture * (gain * tint).astype(np.float32)


def is_grey(image: np.ndarray) -> bool:
    """Whether red, green and blue are the same all over."""
    red, green, blue = cv2.split(image)
    return np.array_equal(red, green) and np.array_equal(red, blue)


def soft_edge(shape: np.ndarray, width: float) -> np.ndarray:
    """float32 `[h, w, 1]`: 0 outside a shape, rising to 1 over `width` pixels inside it."""
    framed = np.pad(shape, 1).astype(np.uint8)
    inside = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return np.clip(inside / width, 0, 1)[..., None]


def composed(image: np.ndarray, window: Window, layer: np.ndarray, share: np.ndarray) -> np.ndarray:
    """A copy of uint8 `[H, W, 3]` whose window shows `share` (0..1, `[h, w, 1]`) of a layer.

    A grey image stays grey.
    """
    result = image.copy()
    if is_grey(image):
        layer = layer[..., :1]  # filters round the channels of float images apart
    under = image[window].astype(np.float32)
    mixed = np.rint(under + share * (layer - under)).clip(0, 255).astype(np.uint8)
    result[window] = np.where(share > 0, mixed, image[window])
    return result
