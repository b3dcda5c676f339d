"""Procedurally drawn shapes of scratches, spots and cracks; and smooth noise."""

import cv2
import numpy as np
from numpy.random import Generator as Rng

SUPERSAMPLING = 4  # so that the width of a stroke need not be a whole number of pixels

Stroke = tuple[np.ndarray, np.ndarray]  # points (x, y) `[N, 2]`, a pixel apart, widths `[N]`


def draw_shape(kind: str, size: float, rng: Rng) -> np.ndarray:
    """A random shape in its bounding box.

    Args:
        kind: "scratch", "spot" or "crack".
        size: of the part, in pixels: the side of a square of its area.
        rng: source of all randomness.

    Returns:
        bool `[h, w]`.
    """
    unit = max(size / 256, 0.25)  # widths below are for a part of 256 pixels
    if kind == "scratch":
        return _paint([_scratch(size, unit, rng)])
    if kind == "spot":
        return _spots(unit, rng)
    return _paint(_crack(size, unit, rng))


def smooth_noise(shape: tuple[int, ...], cell: float, rng: Rng) -> np.ndarray:
    """Noise of standard deviation about 1 that varies over `cell` pixels: float32 `[h, w]`."""
    height, width = shape
    cells = rng.standard_normal((int(height / cell) + 3, int(width / cell) + 3), np.float32)
    full = (max(round(cells.shape[1] * cell), width), max(round(cells.shape[0] * cell), height))
    return 1.3 * cv2.resize(cells, full, interpolation=cv2.INTER_CUBIC)[:height, :width]


def _scratch(size: float, unit: float, rng: Rng) -> Stroke:
    """A nearly straight, uneven stroke that thins out at both ends."""
    n = max(round(size * rng.uniform(0.06, 0.5)), 8)
    t = np.linspace(0, 1, n)
    bend = rng.normal(0, 0.35) * t + 0.03 * np.sin(t * rng.uniform(4, 16))
    width = unit * rng.uniform(2.2, 5) * _uneven(n, 0.7, rng)
    return _walk(np.zeros(2), rng.uniform(0, np.pi) + bend), width * np.sin(np.pi * t) ** 0.4


def _crack(size: float, unit: float, rng: Rng) -> list[Stroke]:
    length = size * rng.uniform(0.08, 0.4)
    return _branch(
        np.zeros(2), rng.uniform(0, 2 * np.pi), length, unit * rng.uniform(2.2, 4.2), rng
    )


def _branch(
    start: np.ndarray, heading: float, length: float, width: float, rng: Rng
) -> list[Stroke]:
    """A jagged stroke that thins out, and its thinner branches."""
    n = max(round(length), 6)
    kinks = np.repeat(rng.normal(0, 0.5, n), rng.integers(3, 12, n))[:n]
    points = _walk(start, heading + kinks + 0.03 * np.cumsum(rng.normal(0, 1, n)))
    widths = width * _uneven(n, 0.5, rng) * np.sqrt(np.linspace(1, 0.1, n))
    strokes = [(points, widths)]
    for _ in range(rng.poisson(length / 60) if length > 15 else 0):
        at = int(rng.integers(n // 6, n))
        away = heading + rng.choice((-1, 1)) * rng.uniform(0.4, 1.1)
        strokes += _branch(points[at], away, length * rng.uniform(0.15, 0.45), 0.7 * width, rng)
    return strokes


def _spots(unit: float, rng: Rng) -> np.ndarray:
    """A blob with an irregular edge, often with smaller ones beside it."""
    radii = unit * rng.uniform(2.5, 11) * np.append(1, rng.uniform(0.2, 0.6, rng.poisson(0.8)))
    centres = np.zeros((len(radii), 2))
    centres[1:] = rng.normal(0, 1.6, (len(radii) - 1, 2)) * radii[0]
    centres -= (centres - radii[:, None]).min(0) - 0.8 * radii[0]
    stretch, turn = rng.uniform(1, 2.2), rng.uniform(0, np.pi)
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    spread = axes.T @ np.diag([stretch, 1 / stretch]) @ axes
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    outlines = []
    for centre, radius in zip(centres, radii, strict=True):
        waves = np.arange(2, 9)
        heights = rng.normal(0, 0.3, 7) / waves**0.8
        edge = 1 + np.cos(angles[:, None] * waves + rng.uniform(0, 6.3, 7)) @ heights
        ring = np.maximum(edge, 0.3)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        outlines.append((centre + radius * ring) @ spread)
    low = np.floor(np.min([o.min(0) for o in outlines], 0))
    columns, rows = np.ceil(np.max([o.max(0) for o in outlines], 0) - low).astype(int) + 1
    canvas = np.zeros((rows, columns), np.uint8)
    for outline in outlines:
        cv2.fillPoly(canvas, [np.rint((outline - low) * 16).astype(np.int32)], 1, shift=4)
    return canvas > 0


def _walk(start: np.ndarray, headings: np.ndarray) -> np.ndarray:
    return start + np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1), 0)


def _uneven(n: int, least: float, rng: Rng) -> np.ndarray:
    """Factors between `least` and 1.1 that vary smoothly along a stroke of n points."""
    knots = n // 9 + 2
    return np.interp(np.linspace(0, 1, n), np.linspace(0, 1, knots), rng.uniform(least, 1.1, knots))


def _paint(strokes: list[Stroke]) -> np.ndarray:
    """The pixels that strokes cover, in their bounding box: bool `[h, w]`."""
    points = np.concatenate([p for p, _ in strokes])
    reach = np.ceil(max(w.max() for _, w in strokes)) + 1
    low = np.floor(points.min(0) - reach)
    columns, rows = np.ceil(points.max(0) + reach - low).astype(int)
    canvas = np.zeros((rows * SUPERSAMPLING, columns * SUPERSAMPLING), np.uint8)
    for path, widths in strokes:
        ends = np.rint((path - low) * SUPERSAMPLING).astype(int).tolist()
        thickness = np.maximum(np.rint(widths * SUPERSAMPLING), 1).astype(int).tolist()
        for a, b, width in zip(ends, ends[1:], thickness, strict=False):
            cv2.line(canvas, a, b, 255, width)
    covered = cv2.resize(canvas, (int(columns), int(rows)), interpolation=cv2.INTER_AREA) > 90
    x, y, width, height = cv2.boundingRect(covered.astype(np.uint8))
    return covered[y : y + height, x : x + width]
