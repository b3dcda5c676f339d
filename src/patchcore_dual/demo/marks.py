"""Marks on the demo's part: harmless ones, and the three kinds of defect."""

import numpy as np
from numpy.random import Generator

from patchcore_dual.demo.relief import (
    EDGE,
    FINE,
    GROOVE,
    HOLE,
    Array,
    Relief,
    clouds,
    line,
    pixels,
    soft,
    step,
)


def _somewhere(part: Relief, rng: Generator, reach: float = np.inf) -> Array:
    """A random point of metal within `reach` of the hole's axis: x and y in the image."""
    margin = 10 * FINE
    inner = np.s_[margin:-margin, margin:-margin]
    places = np.argwhere((part.metal[inner] == 1) & (part.radius[inner] < reach)) + margin
    return places[rng.integers(len(places)), ::-1] / FINE


# Harmless marks


def oil(part: Relief, rng: Generator) -> Relief:
    """A wiped smear: fills the grain, darkens and yellows a little."""
    n, at, heading = rng.integers(40, 90), _somewhere(part, rng), rng.uniform(0, np.pi)
    film, _ = line(at, heading + 0.01 * np.arange(n), np.full(n, rng.uniform(8, 18)))
    film = np.clip(soft(film, 5) * (1 + 0.25 * clouds(rng, 12)), 0, 1)
    return part.covered(film, albedo=rng.uniform(0.65, 0.82), warmth=1.2, matte=0.6)


def stain(part: Relief, rng: Generator) -> Relief:
    """A dried drop: a faint tide line around a fainter inside."""
    (u, v), (a, b) = pixels(), _somewhere(part, rng).tolist()
    radius = rng.uniform(8, 20)
    edge = np.hypot(u - a, v - b) - radius * (1 + 0.12 * clouds(rng, radius))
    tide = 0.7 * np.exp(-((edge / 1.6) ** 2)) + 0.4 * step(-edge, 3)
    return part.covered(tide, albedo=rng.uniform(0.65, 0.82), warmth=rng.uniform(0, 2), matte=0.3)


def dust(part: Relief, rng: Generator) -> Relief:
    """Pale specks on the metal, and sometimes a fibre."""
    headings = rng.uniform(0, 6) + np.cumsum(rng.normal(0, 0.2, 25))
    lint, _ = line(_somewhere(part, rng), headings, np.full(25, rng.choice((0, 0.4))))
    for _ in range(rng.integers(3, 10)):
        speck, _ = line(_somewhere(part, rng), np.zeros(2), rng.uniform(0.5, 1.6, 2))
        lint = np.maximum(lint, speck)
    shadow = np.roll(soft(lint, 0.8), (3, 2), (0, 1))
    part = part.covered(shadow, albedo=0.5, warmth=0, matte=0)
    return part.covered(soft(lint, 0.4), albedo=1.6, warmth=0.3, matte=1)


def chatter(part: Relief, rng: Generator) -> Relief:
    """Chatter of the grinding wheel: regular waves over a stretch of the plate."""
    (u, v), (a, b) = pixels(), _somewhere(part, rng).tolist()
    period, reach = rng.uniform(6, 11), rng.uniform(25, 50)
    waves = np.sin(part.x * (2 * np.pi / period) + rng.normal(0, 0.15) * part.y)
    window = np.exp(-(((u - a) / reach) ** 2) - ((v - b) / (0.5 * reach)) ** 2)
    window *= step(part.radius - 58, 2) * step(np.abs(part.x - GROOVE) - 22, 4)
    window *= step(EDGE - 2 - part.y, 4)
    return part.raised(rng.uniform(0.008, 0.016) * period * waves * window)


# Defects


def _strength(rng: Generator) -> float:
    """A random strength of a defect, up to 1; two defects in five are faint."""
    return rng.uniform(0.2, 0.4) if rng.random() < 0.4 else rng.uniform(0.4, 1)


def _crack(part: Relief, rng: Generator) -> Relief:
    """A thin, dark, jagged, branching crack with raised lips; one in three is at the hole."""
    at_hole, strength = rng.random() < 1 / 3, _strength(rng)
    start = _somewhere(part, rng, reach=34 if at_hole else np.inf)
    column, row = (start * FINE).astype(int)
    outward = np.arctan2(part.y[row, column] - HOLE[1], part.x[row, column] - HOLE[0])
    heading = outward + rng.uniform(-1, 1) * (0.5 if at_hole else np.pi)
    gap = _fork(rng, start, heading, rng.uniform(25, 90), 0.5 + 0.9 * strength)
    lips = soft(gap, 1.2) - soft(gap, 0.5)
    part = part.covered(soft(gap, 0.3), albedo=0.75 - 0.6 * strength, warmth=0, matte=1)
    return part.raised(0.35 * strength * lips)


def _fork(rng: Generator, start: Array, heading: float, length: float, width: float) -> Array:
    """The fraction of each point that a crack and its ever smaller branches cover."""
    n = int(length)
    kinks = np.repeat(rng.normal(0, 0.5, n), rng.integers(2, 10, n))[:n]
    headings = heading + kinks + rng.normal(0, 0.3, n) + 0.04 * np.cumsum(rng.normal(0, 1, n))
    t = np.linspace(0, 1, n)
    uneven = np.interp(t, np.linspace(0, 1, n // 4 + 2), rng.uniform(0.4, 1.2, n // 4 + 2))
    gap, points = line(start, headings, width * uneven * np.sqrt(np.minimum(8 * t, 1 - t)))
    for _ in range(rng.poisson(length / 40) if length > 12 else 0):
        i = rng.integers(n // 5, n)
        away = heading + rng.choice((-1, 1)) * rng.uniform(0.5, 1.2)
        twig = _fork(rng, points[i], away, length * rng.uniform(0.15, 0.4), 0.7 * width)
        gap = np.maximum(gap, twig)
    return gap


def _spot(part: Relief, rng: Generator) -> Relief:
    """One or more pits, dark at the rim, with a soft halo; some elongated along the grain."""
    (u, v), (a, b), strength = pixels(), _somewhere(part, rng).tolist(), _strength(rng)
    stretch, size = rng.uniform(1, 2), rng.uniform(2, 6)
    edge = np.full_like(u, np.inf)
    for radius in (size * rng.uniform(0.4, 1, 1 + rng.poisson(1.5))).tolist():
        edge = np.minimum(edge, np.hypot((u - a) / stretch, v - b) - radius)
        a, b = a + rng.normal(0, 2 * size), b + rng.normal(0, 1.5 * size)
    rough = clouds(rng, 1.5)
    edge += 0.18 * size * clouds(rng, size) + rng.uniform(0, 0.3) * rough
    pit, rim = step(-edge, 1.5), np.exp(-((edge / 0.9 + 0.3) ** 2))
    halo = np.exp(-((np.maximum(edge, 0) / size) ** 2))
    part = part.covered(halo, albedo=1 - 0.15 * strength, warmth=strength, matte=0.3)
    part = part.covered(pit, albedo=1 - 0.6 * strength, warmth=strength, matte=0.9)
    part = part.covered(rim, albedo=1 - 0.5 * strength, warmth=0, matte=0)
    return part.raised(strength * (0.05 * rough * pit - 0.15 * size * step(-edge, size)))


def _scratch(part: Relief, rng: Generator) -> Relief:
    """A slightly curved furrow with raised sides, of uneven depth and with fading ends."""
    start, heading, strength = _somewhere(part, rng), rng.uniform(0, 2 * np.pi), _strength(rng)
    n = rng.integers(30, 160)
    t = np.linspace(0, 1, n)
    headings = heading + rng.normal(0, 0.5) * t + 0.02 * np.sin(t * rng.uniform(5, 20))
    depth = np.interp(t, np.linspace(0, 1, 8), rng.uniform(0.3, 1, 8)) * np.sin(np.pi * t) ** 0.6
    cut, _ = line(start, headings, depth * (0.4 + 0.6 * strength))
    part = part.covered(soft(cut, 0.4), albedo=rng.uniform(0.7, 1.3), warmth=-0.3, matte=1)
    return part.raised(1.8 * strength * (0.7 * soft(cut, 1.2) - soft(cut, 0.5)))


DAMAGE = {"crack": _crack, "spot": _spot, "scratch": _scratch}
