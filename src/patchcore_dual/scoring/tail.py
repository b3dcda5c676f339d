"""How rare a value is among normal images: a generalised Pareto tail above the median."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_SHAPES = tuple(i / 20 for i in range(21))  # of tails that are tried, 0 to 1
_SMALLEST = 1e-6  # lower limit of a spread


@dataclass(frozen=True)
class Scale:
    """The scale of a channel: values to logarithms of how much rarer than the median they are.

    With u = (x − location) / spread, a value above the median becomes log(1 + shape · u) / shape,
    which is −log of the survival function of a generalised Pareto distribution (Pickands 1975), and
    u itself at shape 0. Values below the median stay linear.

    Attributes:
        location: the median of the image maxima on normal images.
        spread: the scale parameter of the distribution of their excess above the median.
        shape: its shape parameter; 0 is an exponential tail, 1 a very heavy one.
    """

    location: float = 0.0
    spread: float = 1.0
    shape: float = 0.0

    def __call__(self, grid: np.ndarray) -> np.ndarray:
        """The scaled values of a grid, both float32 `[h, w]`."""
        u = (grid - np.float32(self.location)) / np.float32(self.spread)
        if not self.shape:
            return u
        shape = np.float32(self.shape)
        return np.where(u > 0, np.log1p(shape * np.maximum(u, 0)) / shape, u)

    def value_at(self, rate: float) -> float:
        """The value that a share `rate` of normal images exceeds, by this distribution.

        >>> round(Scale(location=2, spread=1.5, shape=0.2).value_at(0.01), 3)
        10.9
        """
        x = math.log(0.5 / rate)
        if self.shape and x > 0:
            return self.location + self.spread * math.expm1(self.shape * x) / self.shape
        return self.location + self.spread * x

    def rate_above(self, value: float) -> float:
        """The share of normal images that exceeds a value, by this distribution; at most 1.

        >>> scale = Scale(location=2, spread=1.5, shape=0.2)
        >>> round(scale.rate_above(scale.value_at(0.01)), 12)
        0.01
        """
        u = (value - self.location) / self.spread
        x = math.log1p(self.shape * u) / self.shape if self.shape and u > 0 else u
        return 0.5 * math.exp(-x) if x > -math.log(2) else 1.0

    @classmethod
    def of(cls, grids: Sequence[np.ndarray]) -> "Scale":
        """Return the scale of a channel from its grids on normal images, of any shapes.

        It is that of the largest value of each grid. Spread and shape have the largest likelihood,
        times a prior exp(−shape) against heavy tails.

        >>> rng = np.random.default_rng(0)
        >>> light = Scale.of(list(rng.exponential(2, (400, 1))))
        >>> heavy = Scale.of(list(rng.pareto(2, (400, 1))))
        >>> light.shape < 0.1 < 0.3 < heavy.shape
        True
        """
        maxima = np.array([np.nanmax(grid) for grid in grids], dtype=np.float64)
        location = float(np.median(maxima))
        excess = maxima[maxima >= location] - location
        if excess.max() <= _SMALLEST:
            return cls(location, _SMALLEST)
        # Where many maxima are equal, heavy tails have no most likely spread above 0.
        above = float(np.mean(excess > _SMALLEST))
        shapes = [shape for shape in _SHAPES if not shape or (1 + shape) * above > shape]
        fits = [(_pareto_spread(excess, shape), shape) for shape in shapes]
        spread, shape = max(fits, key=lambda fit: _pareto_log_posterior(excess, *fit))
        return cls(location, spread, shape)


def _pareto_spread(excess: np.ndarray, shape: float) -> float:
    """The most likely spread of a generalised Pareto distribution of given shape.

    At it, (1 + shape) · mean(e / (spread + shape · e)) is 1, which falls with the spread.
    """
    mean = float(excess.mean())
    if not shape:
        return max(mean, _SMALLEST)
    low, high = mean * 1e-6, mean  # at the mean the value is below 1
    for _ in range(60):
        middle = (low * high) ** 0.5
        if (1 + shape) * float((excess / (middle + shape * excess)).mean()) > 1:
            low = middle
        else:
            high = middle
    return max(high, _SMALLEST)


def _pareto_log_posterior(excess: np.ndarray, spread: float, shape: float) -> float:
    """Logarithm of likelihood times prior, up to a constant."""
    u = excess / spread
    tail = float((np.log1p(shape * u) / shape if shape else u).sum())
    return -len(excess) * float(np.log(spread)) - (1 + shape) * tail - shape
