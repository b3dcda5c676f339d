"""Surface from elsewhere on the same good image, to fill defects with."""

import cv2
import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.synthesis.masks.borrowed import Window

TRIES = 12
TONE = 4.0  # pixels: what varies over less is structure


def elsewhere(image: np.ndarray, window: Window, zoom: float, rng: Rng) -> np.ndarray:
    """What lies at another place, mirrored by chance, uint8 of the window's size.

    Not turned: the grain of ground, drawn and rolled surfaces has a direction. Of a few places
    tried, the one most like the window in tone, so that the surface is cut and not its background.

    Args:
        image: uint8 `[H, W, 3]`.
        window: the place that is filled.
        zoom: how many times larger the structure becomes.
    """
    box = np.array([s.stop - s.start for s in window[::-1]])
    size = np.array(image.shape[1::-1])
    half = np.minimum(box / zoom / 2, size / 2)
    places = half + rng.random((TRIES, 2)) * (size - 2 * half)
    tone = float(np.median(image[window]))
    off = [_difference(image, place, half, tone) for place in places]
    ranked = np.argsort(off, kind="stable")
    place = places[ranked[rng.integers(TRIES // 4)]]
    linear = np.diag(np.where(rng.random(2) < 0.5, -1, 1) / zoom)
    to_place = np.column_stack([linear, place - linear @ (box / 2)])
    if zoom == 1:
        to_place = np.rint(to_place)  # pixels as they are: interpolation takes grain away
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        image, to_place, tuple(box.tolist()), flags=flags, borderMode=cv2.BORDER_REFLECT_101
    )


def _difference(image: np.ndarray, place: np.ndarray, half: np.ndarray, tone: float) -> float:
    """Mean difference of a box from a tone; every fourth row and column will do."""
    x, y = np.maximum(place - half, 0).astype(int)
    right, bottom = np.ceil(place + half).astype(int)
    return float(np.abs(image[y:bottom:4, x:right:4].astype(np.float32) - tone).mean())


def tone(surface: np.ndarray) -> np.ndarray:
    """float32 `[h, w, 3]`: what of a surface varies over more than a few pixels."""
    return cv2.GaussianBlur(surface.astype(np.float32), (0, 0), TONE)


def retoned(texture: np.ndarray, under: np.ndarray) -> np.ndarray:
    """float32 `[h, w, 3]`: the structure of a texture on the tone of a surface of its size."""
    gain = np.maximum(tone(under), 1) / np.maximum(tone(texture), 1)
    return texture * np.clip(gain, 1 / 3, 3)


def tinted(texture: np.ndarray, image: np.ndarray, rng: Rng) -> np.ndarray:
    """float32: a texture tinted a little unless the image is grey."""
    tint = np.ones(3) if is_grey(image) else rng.uniform(0.97, 1.03, 3)
    return texture * tint.astype(np.float32)


def is_grey(image: np.ndarray) -> bool:
    """Whether red, green and blue are the same all over."""
    red, green, blue = cv2.split(image)
    return np.array_equal(red, green) and np.array_equal(red, blue)


def half_width(shape: np.ndarray) -> float:
    """Pixels from the innermost point of a shape to its outline; at least 1."""
    framed = np.pad(shape, 1, mode="edge").astype(np.uint8)
    inside = cv2.distanceTransform(framed, cv2.DIST_L2, 3)
    return float(np.clip(inside.max(), 1, max(shape.shape)))


def feather(shape: np.ndarray) -> np.ndarray:
    """As `soft_edge`, over 1.5 to 6 pixels, the wider the shape the more."""
    return soft_edge(shape, float(np.clip(half_width(shape) / 3, 1.5, 6)))


def soft_edge(shape: np.ndarray, width: float) -> np.ndarray:
    """float32 `[h, w, 1]`: 0 outside a shape, rising to 1 over `width` pixels inside it.

    Not where the shape runs out of its array: defects do not fade at the border of a picture.
    """
    framed = np.pad(shape, 1, mode="edge").astype(np.uint8)
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
