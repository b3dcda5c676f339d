"""The demo's data set: generated photographs of one machined steel part, some of them damaged.

A part is a relief (height, albedo, direction of grain) and a photograph is that relief under one
lamp. A defect is a change of the relief, so light and grain treat it as they treat the part, and
its mask is the difference between two renderings of the same part, with and without it. Good and
damaged parts alike carry, now and then, what should not be rejected: oil, stains, dust, chatter.
Lengths are in pixels of the finished image.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

KINDS = ("crack", "spot", "scratch")
SIZE = 256  # both sides of a finished image
MASK_LEVEL = 8  # grey levels of 255: a pixel that changed by more is in the mask

_FINE = 2  # reliefs are drawn this many times finer than the image, then averaged down
_SIDE = SIZE * _FINE
_HOLE, _GROOVE, _EDGE = (42.0, -22.0), -72.0, 103.0  # where the features are, from mid-part

Array = NDArray[Any]  # float32


class Surface(NamedTuple):
    """One photograph: images uint8 [256, 256, 3] RGB, mask bool [256, 256]."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    flawless: NDArray[np.uint8]  # same part, same lamp, same camera noise, without the defect


def make_surfaces(
    folder: Path,
    *,
    seed: int = 0,
    train_good: int = 120,
    train_defective: int = 12,
    test_good: int = 60,
    test_defective: int = 36,
) -> None:
    """Write a plain-folder data set of 256x256 RGB PNGs; `KINDS` take the defective ones in turn.

    `folder/{train,test}/{good,crack,spot,scratch}/NNN.png`, and for the defective ones
    `folder/{train,test}/masks/KIND/NNN.png`, one channel, 255 where the defect changed the image
    by more than `MASK_LEVEL`, 0 elsewhere. An image depends on nothing but the seed, its split,
    its kind and its number. Files of the same name are replaced.
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
    """Machine a part, damage it (`kind` is one of `KINDS`, or "good") and take its picture."""
    part = _machine(rng)
    for harmless in (_oil, _stain, _dust, _chatter):
        if rng.random() < 1 / 12:  # three parts in ten carry something
            part = harmless(part, rng)
    lamp = rng.uniform((-0.1, -0.24, 0.88), (0.1, -0.12, 1.1)).tolist()
    flawless = picture = _shine(part, *lamp)
    noise = rng.standard_normal((SIZE, SIZE, 1), np.float32) * np.sqrt(1.5 + flawless / 40)
    mask = np.zeros((SIZE, SIZE), bool)
    while kind != "good" and not _noticeable(picture - flawless, mask, flawless):
        picture = _shine(_DAMAGE[kind](part, rng), *lamp)
        mask = np.abs(picture - flawless).max(-1) > MASK_LEVEL
    return Surface(_grey_levels(picture + noise), mask, _grey_levels(flawless + noise))


def _noticeable(change: Array, mask: NDArray[np.bool_], flawless: Array) -> bool:
    """Whether a person who looks carefully can tell the defect from the grain around it."""
    if mask.sum() < 30:
        return False
    grain = (flawless - cv2.blur(flawless, (9, 9)))[mask].std()
    return bool(np.percentile(np.abs(change[mask]), 75) > 10 + grain)


# The part


@dataclass(frozen=True)
class _Relief:
    """What the lamp shines on; every field float32 [512, 512]."""

    x: Array  # position on the part, from its middle
    y: Array
    radius: Array  # distance from the hole's axis
    metal: Array  # 1 on the part, 0 in the hole and beyond the edge
    height: Array
    albedo: Array
    warmth: Array  # tint: brown above 0, blue below
    grain: Array  # slope of the machining marks, across their direction
    along: tuple[Array, Array]  # unit vector along the machining marks

    def covered(self, share: Array, albedo: float, warmth: float, matte: float) -> "_Relief":
        """Under a film that covers `share` (0..1) of each point and hides `matte` of the grain."""
        return replace(
            self,
            albedo=self.albedo * (1 + share * self.metal * (albedo - 1)),
            warmth=self.warmth + share * self.metal * warmth,
            grain=self.grain * (1 - share * matte),
        )

    def raised(self, by: Array) -> "_Relief":
        return replace(self, height=self.height + by * self.metal)


def _machine(rng: Generator) -> _Relief:
    """A ground plate with a milled groove, a spot-faced and chamfered hole and a bevelled edge."""
    turn, dx, dy = (rng.uniform(-1, 1, 3) * (np.deg2rad(1.5), 4, 4)).tolist()
    u, v = _pixels() - SIZE / 2
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    x, y = cos * (u - dx) + sin * (v - dy), cos * (v - dy) - sin * (u - dx)
    radius, angle = cv2.cartToPolar(x - _HOLE[0], y - _HOLE[1])
    across = x - _GROOVE
    arc = np.sqrt(np.maximum(24.0**2 - across**2, 1))  # the groove's cutter has a radius of 24

    # how much of each point belongs to a feature, 0..1
    face = _step(56 - radius, 2)
    floor = _step(15 - np.abs(across), 2)
    hole = _step(29 - radius, 1.5)
    wall = hole * _step(np.hypot(x - _HOLE[0] + 1, y - _HOLE[1] - 5) - 27, 4)
    outside = _step(y - _EDGE - 11, 1.5)

    height = 0.5 * _clouds(rng, 110)
    height -= 0.7 * _step(56 - radius, 2.5) + 0.6 * np.clip(36 - radius, 0, 9)
    height -= 3.0 * _step(18 - np.abs(across), 5) * (1 - outside)
    height -= 0.45 * np.clip(y - _EDGE, 0, 14)

    ground = _streaks(rng, x, y)
    turned = _streaks(rng, angle * (SIZE / (2 * np.pi)), radius)
    turned += 0.7 * np.sin(radius * 2.0 + rng.uniform(0, 6))
    milled = np.sin((y + arc) * 1.2 + rng.uniform(0, 6)) + 0.5 * np.roll(ground, 99, 0)
    grain = _mix(_mix(ground, turned, face), milled, floor)
    tx = _mix(_mix(np.ones_like(x), -np.sin(angle), face), arc / 24, floor)
    ty = _mix(_mix(np.zeros_like(x), np.cos(angle), face), across / 24, floor)

    albedo = 1 + 0.025 * _clouds(rng, 30) + 0.02 * ground
    return _Relief(
        x=x,
        y=y,
        radius=radius,
        metal=(1 - hole) * (1 - outside),
        height=height,
        albedo=albedo * (1 - 0.95 * hole + 0.3 * wall) * (1 - 0.88 * outside),
        warmth=0.15 * _clouds(rng, 80),
        grain=grain * rng.uniform(0.10, 0.15) * (1 - hole) * (1 - outside),
        along=(cos * tx - sin * ty, sin * tx + cos * ty),
    )


def _somewhere(part: _Relief, rng: Generator, reach: float = np.inf) -> Array:
    """A point of metal, x and y in the image, within `reach` of the hole's axis."""
    margin = 10 * _FINE
    inner = np.s_[margin:-margin, margin:-margin]
    places = np.argwhere((part.metal[inner] == 1) & (part.radius[inner] < reach)) + margin
    return places[rng.integers(len(places)), ::-1] / _FINE


# What does no harm


def _oil(part: _Relief, rng: Generator) -> _Relief:
    """A wiped smear: fills the grain, darkens and yellows a little."""
    n, at, heading = rng.integers(40, 90), _somewhere(part, rng), rng.uniform(0, np.pi)
    film, _ = _line(at, heading + 0.01 * np.arange(n), np.full(n, rng.uniform(8, 18)))
    film = np.clip(_soft(film, 5) * (1 + 0.25 * _clouds(rng, 12)), 0, 1)
    return part.covered(film, albedo=rng.uniform(0.65, 0.82), warmth=1.2, matte=0.6)


def _stain(part: _Relief, rng: Generator) -> _Relief:
    """A dried drop: a faint tide line around a fainter inside."""
    (u, v), (a, b) = _pixels(), _somewhere(part, rng).tolist()
    radius = rng.uniform(8, 20)
    edge = np.hypot(u - a, v - b) - radius * (1 + 0.12 * _clouds(rng, radius))
    tide = 0.7 * np.exp(-((edge / 1.6) ** 2)) + 0.4 * _step(-edge, 3)
    return part.covered(tide, albedo=rng.uniform(0.65, 0.82), warmth=rng.uniform(0, 2), matte=0.3)


def _dust(part: _Relief, rng: Generator) -> _Relief:
    """Pale specks, and sometimes a fibre, lying on the metal."""
    headings = rng.uniform(0, 6) + np.cumsum(rng.normal(0, 0.2, 25))
    lint, _ = _line(_somewhere(part, rng), headings, np.full(25, rng.choice((0, 0.4))))
    for _ in range(rng.integers(3, 10)):
        speck, _ = _line(_somewhere(part, rng), np.zeros(2), rng.uniform(0.5, 1.6, 2))
        lint = np.maximum(lint, speck)
    shadow = np.roll(_soft(lint, 0.8), (3, 2), (0, 1))
    part = part.covered(shadow, albedo=0.5, warmth=0, matte=0)
    return part.covered(_soft(lint, 0.4), albedo=1.6, warmth=0.3, matte=1)


def _chatter(part: _Relief, rng: Generator) -> _Relief:
    """The grinding wheel trembled: regular waves over a stretch of the plate."""
    (u, v), (a, b) = _pixels(), _somewhere(part, rng).tolist()
    period, reach = rng.uniform(6, 11), rng.uniform(25, 50)
    waves = np.sin(part.x * (2 * np.pi / period) + rng.normal(0, 0.15) * part.y)
    window = np.exp(-(((u - a) / reach) ** 2) - ((v - b) / (0.5 * reach)) ** 2)
    window *= _step(part.radius - 58, 2) * _step(np.abs(part.x - _GROOVE) - 22, 4)
    window *= _step(_EDGE - 2 - part.y, 4)
    return part.raised(rng.uniform(0.008, 0.016) * period * waves * window)


# What does


def _strength(rng: Generator) -> float:
    """Two defects in five are faint."""
    return rng.uniform(0.2, 0.4) if rng.random() < 0.4 else rng.uniform(0.4, 1)


def _crack(part: _Relief, rng: Generator) -> _Relief:
    """Thin, dark, jagged and branching, its lips a little raised; one in three is at the hole."""
    at_hole, strength = rng.random() < 1 / 3, _strength(rng)
    start = _somewhere(part, rng, reach=34 if at_hole else np.inf)
    column, row = (start * _FINE).astype(int)
    outward = np.arctan2(part.y[row, column] - _HOLE[1], part.x[row, column] - _HOLE[0])
    heading = outward + rng.uniform(-1, 1) * (0.5 if at_hole else np.pi)
    gap = _fork(rng, start, heading, rng.uniform(25, 90), 0.5 + 0.9 * strength)
    lips = _soft(gap, 1.2) - _soft(gap, 0.5)
    part = part.covered(_soft(gap, 0.3), albedo=0.75 - 0.6 * strength, warmth=0, matte=1)
    return part.raised(0.35 * strength * lips)


def _fork(rng: Generator, start: Array, heading: float, length: float, width: float) -> Array:
    """What a crack and, smaller each time, its branches cover."""
    n = int(length)
    kinks = np.repeat(rng.normal(0, 0.5, n), rng.integers(2, 10, n))[:n]
    headings = heading + kinks + rng.normal(0, 0.3, n) + 0.04 * np.cumsum(rng.normal(0, 1, n))
    t = np.linspace(0, 1, n)
    uneven = np.interp(t, np.linspace(0, 1, n // 4 + 2), rng.uniform(0.4, 1.2, n // 4 + 2))
    gap, points = _line(start, headings, width * uneven * np.sqrt(np.minimum(8 * t, 1 - t)))
    for _ in range(rng.poisson(length / 40) if length > 12 else 0):
        i = rng.integers(n // 5, n)
        away = heading + rng.choice((-1, 1)) * rng.uniform(0.5, 1.2)
        twig = _fork(rng, points[i], away, length * rng.uniform(0.15, 0.4), 0.7 * width)
        gap = np.maximum(gap, twig)
    return gap


def _spot(part: _Relief, rng: Generator) -> _Relief:
    """A pit or a few, dark at the rim, with a soft halo; some drawn out along the grain."""
    (u, v), (a, b), strength = _pixels(), _somewhere(part, rng).tolist(), _strength(rng)
    stretch, size = rng.uniform(1, 2), rng.uniform(2, 6)
    edge = np.full_like(u, np.inf)
    for radius in (size * rng.uniform(0.4, 1, 1 + rng.poisson(1.5))).tolist():
        edge = np.minimum(edge, np.hypot((u - a) / stretch, v - b) - radius)
        a, b = a + rng.normal(0, 2 * size), b + rng.normal(0, 1.5 * size)
    rough = _clouds(rng, 1.5)
    edge += 0.18 * size * _clouds(rng, size) + rng.uniform(0, 0.3) * rough
    pit, rim = _step(-edge, 1.5), np.exp(-((edge / 0.9 + 0.3) ** 2))
    halo = np.exp(-((np.maximum(edge, 0) / size) ** 2))
    part = part.covered(halo, albedo=1 - 0.15 * strength, warmth=strength, matte=0.3)
    part = part.covered(pit, albedo=1 - 0.6 * strength, warmth=strength, matte=0.9)
    part = part.covered(rim, albedo=1 - 0.5 * strength, warmth=0, matte=0)
    return part.raised(strength * (0.05 * rough * pit - 0.15 * size * _step(-edge, size)))


def _scratch(part: _Relief, rng: Generator) -> _Relief:
    """A furrow with thrown-up sides along a slight curve, of uneven depth and fading ends."""
    start, heading, strength = _somewhere(part, rng), rng.uniform(0, 2 * np.pi), _strength(rng)
    n = rng.integers(30, 160)
    t = np.linspace(0, 1, n)
    headings = heading + rng.normal(0, 0.5) * t + 0.02 * np.sin(t * rng.uniform(5, 20))
    depth = np.interp(t, np.linspace(0, 1, 8), rng.uniform(0.3, 1, 8)) * np.sin(np.pi * t) ** 0.6
    cut, _ = _line(start, headings, depth * (0.4 + 0.6 * strength))
    part = part.covered(_soft(cut, 0.4), albedo=rng.uniform(0.7, 1.3), warmth=-0.3, matte=1)
    return part.raised(1.8 * strength * (0.7 * _soft(cut, 1.2) - _soft(cut, 0.5)))


_DAMAGE = {"crack": _crack, "spot": _spot, "scratch": _scratch}


# The lamp and the camera


def _shine(part: _Relief, tilt_x: float, tilt_y: float, exposure: float) -> Array:
    """The picture before noise: float32 [256, 256, 3], in grey levels.

    A mirror of slope `tilt_x`, `tilt_y` in mid-part would show the lamp to the camera.
    """
    sx = cv2.Sobel(part.height, cv2.CV_32F, 1, 0, ksize=1, scale=_FINE / 2)
    sy = cv2.Sobel(part.height, cv2.CV_32F, 0, 1, ksize=1, scale=_FINE / 2)
    # machined metal mirrors the lamp narrowly along its grain, broadly across
    wx, wy = sx - tilt_x - part.x / 900, sy - tilt_y - part.y / 900
    tx, ty = part.along
    off_along, off_across = wx * tx + wy * ty, wy * tx - wx * ty + part.grain
    glint = np.exp(-((off_along / 0.18) ** 2) - (off_across / 0.45) ** 2)
    room = 0.30 + 0.16 * np.tanh(1.2 * sx - 2 * sy + 0.8 * part.grain)
    sunk = cv2.blur(cv2.blur(part.height, (61, 61)), (61, 61)) - part.height
    light = part.albedo * (room + 0.62 * glint) * (1 - 0.12 * np.clip(sunk, 0, 3))
    exposed = 255 * (1 - np.exp(-1.9 * exposure * _shrink(_soft(light, 0.4))))
    tint = 1 + _shrink(part.warmth)[..., None] * np.array([0.02, 0, -0.03], np.float32)
    return exposed[..., None] * tint * np.array([0.985, 1, 1.01], np.float32)


# Drawing; every array float32 [512, 512] unless it says otherwise


@cache
def _pixels() -> Array:
    """Where the points of a relief are in the image: u and v, [2, 512, 512]."""
    return (np.indices((_SIDE, _SIDE), np.float32)[::-1] + 0.5) / _FINE


def _streaks(rng: Generator, u: Array, v: Array) -> Array:
    """Grain that runs along `u` and repeats every 256, of mean 0 and standard deviation 1."""
    noise: Array = rng.standard_normal((_SIDE, SIZE // 2), np.float32)  # coarse along u
    grain: Array = np.zeros_like(noise)
    for length, weight in ((75, 1.0), (15, 0.7), (4, 0.35)):
        streaks = uniform_filter1d(noise, length, axis=1, mode="wrap")
        grain = np.roll(grain, 97, axis=0) + weight * _unit(streaks)
    grain = 1.2 * _unit(grain)  # the interpolation takes away a sixth
    return cv2.remap(grain, u / 2, v * _FINE, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _clouds(rng: Generator, length: float) -> Array:
    """Smooth variation over `length`, of mean 0 and standard deviation about 1."""
    cells = rng.standard_normal((int(SIZE / length) + 3,) * 2, np.float32)
    return 1.2 * cv2.resize(_unit(cells), (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)


def _line(start: Array, headings: Array, widths: Array) -> tuple[Array, Array]:
    """How much of each point a line of unit steps covers, 0..1, and its points, [N, 2]."""
    points = start + np.cumsum(np.stack([np.cos(headings), np.sin(headings)], -1), 0)
    ends = np.rint(points * _FINE * 16).astype(int).tolist()
    canvas = np.zeros((_SIDE, _SIDE), np.uint8)
    for a, b, width in zip(ends, ends[1:], (widths * _FINE).tolist(), strict=False):
        level, thickness = round(255 * min(width, 1)), max(1, round(width))
        cv2.line(canvas, a, b, level, thickness, cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / 255, points


def _step(distance: Array, width: float) -> Array:
    """From 0 to 1, smoothly, over `width` around a distance of 0."""
    t = np.clip(distance / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _mix(a: Array, b: Array, share: Array) -> Array:
    return a + share * (b - a)


def _unit(a: Array) -> Array:
    return (a - a.mean()) / a.std()


def _soft(a: Array, sigma: float) -> Array:
    return cv2.GaussianBlur(a, (0, 0), sigma * _FINE)


def _shrink(a: Array) -> Array:
    return cv2.resize(a, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def _grey_levels(picture: Array) -> NDArray[np.uint8]:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
