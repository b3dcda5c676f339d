"""Textures to fill defects with, cut from the same normal image, and how they are blended in."""

import cv2
import numpy as np
from numpy.random import Generator as Rng

from patchcore_dual.synthesis.masks.windows import Window

TRIES = 12
TONE = 4.0  # pixels: standard deviation of the Gaussian that separates tone from structure


def sample_source_patch(image: np.ndarray, window: Window, zoom: float, rng: Rng) -> np.ndarray:
    """A patch of the image from another position, randomly mirrored.

    It is not rotated, because the grain of ground, drawn and rolled surfaces has a direction. Of
    12 random positions, one of the three closest to the window in tone is taken, so that the patch
    shows surface and not background.

    Args:
        image: uint8 `[H, W, 3]`.
        window: rows and columns that the patch is to fill.
        zoom: magnification of the patch.
        rng: source of all randomness.

    Returns:
        uint8 `[h, w, 3]`, of the window's size.
    """
    box = np.array([s.stop - s.start for s in window[::-1]])
    size = np.array(image.shape[1::-1])
    half = np.minimum(box / zoom / 2, size / 2)
    centres = half + rng.random((TRIES, 2)) * (size - 2 * half)
    tone = float(np.median(image[window]))
    differences = [_difference(image, centre, half, tone) for centre in centres]
    ranked = np.argsort(differences, kind="stable")
    centre = centres[ranked[rng.integers(TRIES // 4)]]
    linear = np.diag(np.where(rng.random(2) < 0.5, -1, 1) / zoom)
    matrix = np.column_stack([linear, centre - linear @ (box / 2)])
    if zoom == 1:
        matrix = np.rint(matrix)  # whole pixels, since interpolation would blur the grain
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        image, matrix, tuple(box.tolist()), flags=flags, borderMode=cv2.BORDER_REFLECT_101
    )


def _difference(image: np.ndarray, centre: np.ndarray, half: np.ndarray, tone: float) -> float:
    """Mean difference of a box from a tone, on every fourth row and column."""
    x, y = np.maximum(centre - half, 0).astype(int)
    right, bottom = np.ceil(centre + half).astype(int)
    return float(np.abs(image[y:bottom:4, x:right:4].astype(np.float32) - tone).mean())


def tone(surface: np.ndarray) -> np.ndarray:
    """The tone of a surface, without its fine structure: float32 `[h, w, 3]`."""
    return cv2.GaussianBlur(surface.astype(np.float32), (0, 0), TONE)


def match_tone(texture: np.ndarray, under: np.ndarray) -> np.ndarray:
    """A texture scaled to the local tone of a surface of the same size: float32 `[h, w, 3]`."""
    gain = np.maximum(tone(under), 1) / np.maximum(tone(texture), 1)
    return texture * np.clip(gain, 1 / 3, 3)


def tint_randomly(texture: np.ndarray, image: np.ndarray, rng: Rng) -> np.ndarray:
    """A texture with its channels scaled by up to 3 %, unless the image is grey: float32."""
    tint = np.ones(3) if is_grey(image) else rng.uniform(0.97, 1.03, 3)
    return texture * tint.astype(np.float32)


def is_grey(image: np.ndarray) -> bool:
    """Whether red, green and blue are equal in every pixel."""
    red, green, blue = cv2.split(image)
    return np.array_equal(red, green) and np.array_equal(red, blue)


def half_width(shape: np.ndarray) -> float:
    """Half of the largest width of a shape bool `[h, w]`, in pixels; at least 1."""
    framed = np.pad(shape, 1, mode="edge").astype(np.uint8)
    inside = cv2.distanceTransform(framed, cv2.DIST_L2, 3)
    return float(np.clip(inside.max(), 1, max(shape.shape)))


def feather(shape: np.ndarray) -> np.ndarray:
    """`soft_edge` over 1.5 to 6 pixels, depending on the width of the shape."""
    return soft_edge(shape, float(np.clip(half_width(shape) / 3, 1.5, 6)))


def soft_edge(shape: np.ndarray, width: float) -> np.ndarray:
    """Opacity that is 0 outside a shape and rises to 1 over `width` pixels inside it.

    It does not fall where the shape reaches the border of its array, since defects do not fade at
    the border of a picture.

    Args:
        shape: bool `[h, w]`.
        width: in pixels.

    Returns:
        float32 `[h, w, 1]`.
    """
    framed = np.pad(shape, 1, mode="edge").astype(np.uint8)
    inside = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return np.clip(inside / width, 0, 1)[..., None]


def alpha_blend(
    image: np.ndarray, window: Window, layer: np.ndarray, alpha: np.ndarray
) -> np.ndarray:
    """A copy of an image with a layer blended into one of its windows; a grey image stays grey.

    >>> image = np.full((4, 4, 3), 100, np.uint8)
    >>> window = slice(1, 3), slice(1, 3)
    >>> layer, alpha = np.full((2, 2, 3), 200.0), np.full((2, 2, 1), 0.5)
    >>> alpha_blend(image, window, layer, alpha)[1, :, 0].tolist()
    [100, 150, 150, 100]

    Args:
        image: uint8 `[H, W, 3]`.
        window: rows and columns of the layer, h x w pixels.
        layer: float `[h, w, 3]`, in grey levels.
        alpha: float `[h, w, 1]`, opacity of the layer, 0 to 1; pixels of 0 keep their values.

    Returns:
        uint8 `[H, W, 3]`.
    """
    result = image.copy()
    if is_grey(image):
        layer = layer[..., :1]  # filters may round equal float channels differently
    under = image[window].astype(np.float32)
    mixed = np.rint(under + alpha * (layer - under)).clip(0, 255).astype(np.uint8)
    result[window] = np.where(alpha > 0, mixed, image[window])
    return result
