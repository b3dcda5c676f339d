"""`DriftReference`: how good parts looked when the model was fitted, by which drift is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from patchcore_dual.scoring.appearance import GRID, OF_PIXELS, STATISTICS, Appearance, Look
from patchcore_dual.scoring.evidence import HeldOutImage, Nearest

LEAST_IMAGES = 10  # fewer good images show too little of how much good parts vary
MOST_IMAGES = 1000  # more would not make it better
LEAST_TAUGHT = 10  # good images, taught since, whose median says what is good now
USUAL = 0.9  # quantile of the distances of good images' patches that is usual
_GROUPS = 1.5  # standard errors by which groups of images may differ by chance

# A change below this is never drift, in the units of `Appearance`; of the distance, as a share.
_LEAST_CHANGE = {
    "distance": 0.005,
    "share": 0.005,
    "brightness": 0.5,
    "contrast": 0.01,
    "sharpness": 0.01,
    "warmth": 0.5,
    "tint": 0.5,
    "tilt_x": 0.005,
    "tilt_y": 0.005,
    "place_x": 0.002,
    "place_y": 0.002,
}


@dataclass(frozen=True, eq=False)
class DriftReference:
    """The appearance of the good training images, with distances from banks without each.

    Light variants are not among them: images that come are not half as often blurred or darker.

    Attributes:
        names: of the images.
        group: int32 `[n]`, a number for each group of images, as of one part.
        is_taught: bool `[n]`, whether it was taught since the fit.
        values: float64 `[n, 11]`, see `Appearance`.
        brightness, distance: float32 `[n, GRID, GRID]`, likewise.
        usual: the distance that a tenth of the patches of good images exceed.
    """

    names: tuple[str, ...]
    group: np.ndarray
    is_taught: np.ndarray
    values: np.ndarray
    brightness: np.ndarray
    distance: np.ndarray
    usual: float

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        groups: Sequence[str],
        images: Sequence[HeldOutImage],
        looks: Mapping[str, Look],
        taught: frozenset[str] = frozenset(),
    ) -> "DriftReference | None":
        """The reference of good training images; None with fewer than ten of the fit.

        Args:
            names, groups, images: of the calibration set.
            looks: what the pixels of each image say; one without is left out.
            taught: names of the images that were taught since the fit.
        """
        rows = [i for i, name in enumerate(names) if name in looks]
        if sum(names[i] not in taught for i in rows) < LEAST_IMAGES:
            return None
        rows = rows[:: -(-len(rows) // MOST_IMAGES)]
        distances = [images[i].evidence.normal.distance for i in rows]
        usual = float(np.nanquantile(np.concatenate([d.ravel() for d in distances]), USUAL))
        seen = [
            Appearance.of(looks[names[i]], distance, usual)
            for i, distance in zip(rows, distances, strict=True)
        ]
        number = {group: k for k, group in enumerate(dict.fromkeys(groups))}
        return cls(
            tuple(names[i] for i in rows),
            np.array([number[groups[i]] for i in rows], np.int32),
            np.array([names[i] in taught for i in rows]),
            np.stack([one.values for one in seen]),
            np.stack([one.brightness for one in seen]),
            np.stack([one.distance for one in seen]),
            usual,
        )

    def appearance(self, look: Look, normal: Nearest) -> Appearance:
        """The appearance of an image that is inspected."""
        return Appearance.of(look, normal.distance, self.usual)

    def looks(self) -> dict[str, Look]:
        """What the pixels of each image say, by its name."""
        of_pixels = self.values[:, -len(OF_PIXELS) :]
        return {
            name: Look(values, grid)
            for name, values, grid in zip(self.names, of_pixels, self.brightness, strict=True)
        }

    @cached_property
    def fitted(self) -> np.ndarray:
        """`values` of the images of the fit, sorted by statistic, float64 `[k, 11]`."""
        return np.sort(self.values[~self.is_taught], axis=0)

    @cached_property
    def spread(self) -> np.ndarray:
        """The standard deviation of each statistic among images of the fit, float64 `[11]`."""
        return np.maximum(self.fitted.std(axis=0), self._least_change)

    @cached_property
    def tolerance(self) -> np.ndarray:
        """How far good parts may be above the fit's, and below, without drift: float64 `[11, 2]`.

        Where several images show one part, images of a few parts differ from those of others by
        chance as well; the tolerance is one and a half standard errors of that difference, for as
        many parts as the reference has. Ten or more good images that were taught since move it to
        where they lie.
        """
        allowed = np.maximum(self._group_error * _GROUPS, self._least_change)
        moved = np.zeros_like(allowed)
        if self.is_taught.sum() >= LEAST_TAUGHT:
            moved = np.median(self.values[self.is_taught], axis=0) - np.median(self.fitted, axis=0)
        return np.stack([allowed + np.maximum(moved, 0), allowed + np.maximum(-moved, 0)], axis=1)

    @property
    def _least_change(self) -> np.ndarray:
        least = np.array([_LEAST_CHANGE[name] for name in STATISTICS])
        least[0] *= float(np.median(self.fitted[:, 0]))
        return least

    @property
    def _group_error(self) -> np.ndarray:
        """Standard error of the difference between two sets of groups, by analysis of variance."""
        group, values = self.group[~self.is_taught], self.values[~self.is_taught]
        _, index, sizes = np.unique(group, return_inverse=True, return_counts=True)
        n, k = len(group), len(sizes)
        if k < 2 or k == n:
            return np.zeros(values.shape[1])
        means = np.stack([np.bincount(index, column) / sizes for column in values.T], axis=1)
        within = ((values - means[index]) ** 2).sum(axis=0) / (n - k)
        between = (sizes[:, None] * (means - values.mean(axis=0)) ** 2).sum(axis=0) / (k - 1)
        size = (n - (sizes**2).sum() / n) / (k - 1)
        error: np.ndarray = np.sqrt(np.maximum(between - within, 0) / size * 2 / k)
        return error

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All but the names as arrays by name."""
        return {
            "group": self.group,
            "is_taught": self.is_taught.astype(np.uint8),
            "values": self.values,
            "brightness": self.brightness,
            "distance": self.distance,
            "usual": np.array([self.usual]),
        }

    @classmethod
    def from_arrays(
        cls, names: Sequence[str], arrays: Mapping[str, np.ndarray]
    ) -> "DriftReference":
        """The reference again, from what `to_arrays` gave."""
        return cls(
            tuple(names),
            arrays["group"],
            arrays["is_taught"].astype(bool),
            arrays["values"],
            arrays["brightness"].reshape(-1, GRID, GRID),
            arrays["distance"].reshape(-1, GRID, GRID),
            float(arrays["usual"][0]),
        )
