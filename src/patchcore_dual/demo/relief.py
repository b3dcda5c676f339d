"""The demo's part as a relief (height, albedo, grain), and its rendering under one lamp."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

SIZE = 256  # both sides of a finished image
FINE = 2  # reliefs are drawn this many times finer than the image, then averaged down
SIDE = SIZE * FINE
HOLE, GROOVE, EDGE = (42.0, -22.0), -72.0, 103.0  # positions, from the middle of the part

Array = NDArray[Any]  # float32


@dataclass(frozen=True)
class Relief:
    """The surface of a part; every field is float32 [512, 512]."""

    x: Array  # position on the part, from its middle
    y: Array
    radius: Array  # distance from the hole's axis
    metal: Array  # 1 on the part, 0 in the hole and beyond the edge
    height: Array
    albedo: Array
    warmth: Array  # tint: brown above 0, blue below
    grain: Array  # slope of the machining marks, across their direction
    along: tuple[Array, Array]  # unit vector along the machining marks

    def covered(self, share: Array, albedo: float, warmth: float, matte: float) -> "Relief":
        """The part under a film.

        The film covers the fraction `share` (0..1) of each point; `albedo` is its factor, `warmth`
        its tint, and `matte` the fraction of the grain that it hides.
        """
        return replace(
            self,
            albedo=self.albedo * (1 + share * self.metal * (albedo - 1)),
            warmth=self.warmth + share * self.metal * warmth,
            grain=self.grain * (1 - share * matte),
        )

    def raised(self, by: Array) -> "Relief":
        """The part with its metal raised by some height."""
        return replace(self, height=self.height + by * self.metal)


def machine(rng: Generator) -> Relief:
    """A ground plate with a milled groove, a spot-faced and chamfered hole and a bevelled edge."""
    turn, dx, dy = (rng.uniform(-1, 1, 3) * (np.deg2rad(1.5), 4, 4)).tolist()
    u, v = pixels() - SIZE / 2
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    x, y = cos * (u - dx) + sin * (v - dy), cos * (v - dy) - sin * (u - dx)
    radius, angle = cv2.cartToPolar(x - HOLE[0], y - HOLE[1])
    across = x - GROOVE
    arc = np.sqrt(np.maximum(24.0**2 - across**2, 1))  # the groove's cutter has a radius of 24

    # the fraction of each point that belongs to a feature
    face = step(56 - radius, 2)
    floor = step(15 - np.abs(across), 2)
    hole = step(29 - radius, 1.5)
    wall = hole * step(np.hypot(x - HOLE[0] + 1, y - HOLE[1] - 5) - 27, 4)
    outside = step(y - EDGE - 11, 1.5)

    height = 0.5 * clouds(rng, 110)
    height -= 0.7 * step(56 - radius, 2.5) + 0.6 * np.clip(36 - radius, 0, 9)
    height -= 3.0 * step(18 - np.abs(across), 5) * (1 - outside)
    height -= 0.45 * np.clip(y - EDGE, 0, 14)

    ground = streaks(rng, x, y)
    turned = streaks(rng, angle * (SIZE / (2 * np.pi)), radius)
    turned += 0.7 * np.sin(radius * 2.0 + rng.uniform(0, 6))
    milled = np.sin((y + arc) * 1.2 + rng.uniform(0, 6)) + 0.5 * np.roll(ground, 99, 0)
    grain = mix(mix(ground, turned, face), milled, floor)
    tx = mix(mix(np.ones_like(x), -np.sin(angle), face), arc / 24, floor)
    ty = mix(mix(np.zeros_like(x), np.cos(angle), face), across / 24, floor)

    albedo = 1 + 0.025 * clouds(rng, 30) + 0.02 * ground
    return Relief(
        x=x,
        y=y,
        radius=radius,
        metal=(1 - hole) * (1 - outside),
        height=height,
        albedo=albedo * (1 - 0.95 * hole + 0.3 * wall) * (1 - 0.88 * outside),
        warmth=0.15 * clouds(rng, 80),
        grain=grain * rng.uniform(0.10, 0.15) * (1 - hole) * (1 - outside),
        along=(cos * tx - sin * ty, sin * tx + cos * ty),
    )


# The lamp and the camera


def shine(part: Relief, tilt_x: float, tilt_y: float, exposure: float) -> Array:
    """The photograph before noise: float32 [256, 256, 3], in grey levels.

    A mirror of slope `tilt_x`, `tilt_y` in the middle of the part would reflect the lamp into the
    camera.
    """
    sx = cv2.Sobel(part.height, cv2.CV_32F, 1, 0, ksize=1, scale=FINE / 2)
    sy = cv2.Sobel(part.height, cv2.CV_32F, 0, 1, ksize=1, scale=FINE / 2)
    # machined metal reflects the lamp narrowly along its grain, broadly across it
    wx, wy = sx - tilt_x - part.x / 900, sy - tilt_y - part.y / 900
    tx, ty = part.along
    off_along, off_across = wx * tx + wy * ty, wy * tx - wx * ty + part.grain
    glint = np.exp(-((off_along / 0.18) ** 2) - (off_across / 0.45) ** 2)
    room = 0.30 + 0.16 * np.tanh(1.2 * sx - 2 * sy + 0.8 * part.grain)
    sunk = cv2.blur(cv2.blur(part.height, (61, 61)), (61, 61)) - part.height
    light = part.albedo * (room + 0.62 * glint) * (1 - 0.12 * np.clip(sunk, 0, 3))
    exposed = 255 * (1 - np.exp(-1.9 * exposure * shrink(soft(light, 0.4))))
    tint = 1 + shrink(part.warmth)[..., None] * np.array([0.02, 0, -0.03], np.float32)
    return exposed[..., None] * tint * np.array([0.985, 1, 1.01], np.float32)


# Drawing; every array float32 [512, 512] unless it says otherwise


@cache
def pixels() -> Array:
    """Image coordinates u and v of the points of a relief, [2, 512, 512]."""
    return (np.indices((SIDE, SIDE), np.float32)[::-1] + 0.5) / FINE


def streaks(rng: Generator, u: Array, v: Array) -> Array:
    """Grain that runs along `u` and repeats every 256, of mean 0 and standard deviation 1."""
    noise: Array = rng.standard_normal((SIDE, SIZE // 2), np.float32)  # coarse along u
    grain: Array = np.zeros_like(noise)
    for length, weight in ((75, 1.0), (15, 0.7), (4, 0.35)):
        streaks = uniform_filter1d(noise, length, axis=1, mode="wrap")
        grain = np.roll(grain, 97, axis=0) + weight * unit(streaks)
    grain = 1.2 * unit(grain)  # interpolation reduces the deviation by a sixth
    return cv2.remap(grain, u / 2, v * FINE, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def clouds(rng: Generator, length: float) -> Array:
    """Smooth variation over `length`, of mean 0 and standard deviation about 1."""
    cells = rng.standard_normal((int(SIZE / length) + 3,) * 2, np.float32)
    return 1.2 * cv2.resize(unit(cells), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def line(start: Array, headings: Array, widths: Array) -> tuple[Array, Array]:
    """The fraction of each point that a line of unit steps covers, and its vertices, [N, 2]."""
    points = start + np.cumsum(np.stack([np.cos(headings), np.sin(headings)], -1), 0)
    ends = np.rint(points * FINE * 16).astype(int).tolist()
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    for a, b, width in zip(ends, ends[1:], (widths * FINE).tolist(), strict=False):
        level, thickness = round(255 * min(width, 1)), max(1, round(width))
        cv2.line(canvas, a, b, level, thickness, cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / 255, points


def step(distance: Array, width: float) -> Array:
    """From 0 to 1, smoothly, over `width` around a distance of 0."""
    t = np.clip(distance / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array, b: Array, share: Array) -> Array:
    return a + share * (b - a)


def unit(a: Array) -> Array:
    return (a - a.mean()) / a.std()


def soft(a: Array, sigma: float) -> Array:
    return cv2.GaussianBlur(a, (0, 0), sigma * FINE)


def shrink(a: Array) -> Array:
    return cv2.resize(a, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
