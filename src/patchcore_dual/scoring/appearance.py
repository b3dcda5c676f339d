"""`Appearance`: how an image looks as a whole, in a few robust figures.

Drift is judged by them (`live/sentinel.py`). They are medians over a coarse grid of the image, or
over its patches, so that a defect, which covers little of an image, hardly changes them.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

GRID = 4  # cells of the coarse grid in each direction
STATISTICS = (
    "distance",
    "share",
    "brightness",
    "contrast",
    "sharpness",
    "warmth",
    "tint",
    "tilt_x",
    "tilt_y",
    "place_x",
    "place_y",
)
OF_PIXELS = STATISTICS[2:]


@dataclass(frozen=True, eq=False)
class Look:
    """What the pixels of an image alone say of its appearance.

    Attributes:
        values: float32 `[9]`, the statistics `OF_PIXELS`.
        brightness: float32 `[GRID, GRID]`, mean grey value of each cell of the coarse grid.
    """

    values: np.ndarray
    brightness: np.ndarray


@dataclass(frozen=True, eq=False)
class Appearance:
    """How an image looks as a whole.

    Attributes:
        values: float64 `[11]`, the `STATISTICS`, to six digits, as they are logged:

            - `distance`: median distance of its patches to the normal bank;
            - `share`: share of patches that are farther than is usual (the distance that a tenth
              of the patches of good images exceed);
            - `brightness`: median grey value of the coarse grid, 0 to 255;
            - `contrast`: logarithm of the standard deviation of grey values;
            - `sharpness`: logarithm of how strong fine detail is beside that of twice the size,
              which neither gain nor offset changes;
            - `warmth`, `tint`: mean of red less blue, and of green less both, in grey values;
            - `tilt_x`, `tilt_y`: how much brighter the right half is than the left one, and the
              lower than the upper, as a share of the brightness;
            - `place_x`, `place_y`: where edges lie on average, 0 to 1 of the width and height.
        brightness: float32 `[GRID, GRID]`, mean grey value of each cell of the coarse grid.
        distance: float32 `[GRID, GRID]`, mean distance of the patches in it.

    >>> image = np.full((64, 64, 3), 100, np.uint8)
    >>> look = look_of(image, inspected=np.ones((8, 8), bool))
    >>> appearance = Appearance.of(look, np.ones((8, 8), np.float32), usual=2.0)
    >>> appearance.to_json()["values"]["brightness"]
    100.0
    """

    values: np.ndarray
    brightness: np.ndarray
    distance: np.ndarray

    @classmethod
    def of(cls, look: Look, distance: np.ndarray, usual: float) -> "Appearance":
        """The appearance of an image.

        Args:
            look: what its pixels say.
            distance: float32 `[h, w]`, of its patches to the normal bank; NaN where they are not
                inspected.
            usual: the distance that a tenth of the patches of good images exceed.
        """
        inside = distance[np.isfinite(distance)]
        middle = np.median(inside)
        far = float(middle), float(np.mean(inside > usual))
        rounded = np.array([float(f"{value:.6g}") for value in (*far, *look.values.tolist())])
        return cls(rounded, look.brightness, _coarse(np.nan_to_num(distance, nan=middle)))

    def to_json(self) -> dict[str, Any]:
        """As plain values: `values` by name, and both grids row by row."""
        return {
            "values": dict(zip(STATISTICS, self.values.tolist(), strict=True)),
            "brightness": [round(value, 1) for value in self.brightness.ravel().tolist()],
            "distance": [float(f"{value:.4g}") for value in self.distance.ravel().tolist()],
        }

    @classmethod
    def from_json(cls, values: Any) -> "Appearance":
        """The appearance again. Raises KeyError, TypeError or ValueError for other values."""
        numbers = np.array([values["values"][name] for name in STATISTICS], np.float64)
        grids = [
            np.array(values[name], np.float32).reshape(GRID, GRID)
            for name in ("brightness", "distance")
        ]
        if not (np.isfinite(numbers).all() and np.isfinite(np.array(grids)).all()):
            raise ValueError("not finite")
        return cls(numbers, *grids)


def look_of(image: np.ndarray, inspected: np.ndarray) -> Look:
    """What the pixels of an image say of its appearance.

    Args:
        image: uint8 `[H, W, 3]`.
        inspected: bool `[h, w]`, the cells of its feature grid that are inspected. Pixels of others
            count as the mean of those inside, and medians are of where most is inspected.
    """
    share = _coarse(inspected.astype(np.float32))
    inside = share >= share.max() / 2
    if not inspected.all():
        size = (image.shape[1], image.shape[0])
        outside = cv2.resize((~inspected).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        inside_mean = cv2.mean(image, 1 - outside)[:3]
        image = np.where(outside[..., None] > 0, np.rint(inside_mean).astype(np.uint8), image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    coarse = _coarse(grey)
    mean, deviation = cv2.meanStdDev(grey)
    red, green, blue, _ = cv2.mean(image)
    fine = cv2.convertScaleAbs(cv2.Laplacian(grey, cv2.CV_16S))
    half_size = max(1, grey.shape[1] // 2), max(1, grey.shape[0] // 2)
    half = cv2.resize(grey, half_size, interpolation=cv2.INTER_AREA)
    rough = cv2.convertScaleAbs(cv2.Laplacian(half, cv2.CV_16S))
    fine_grid, rough_grid = _coarse(fine), _coarse(rough)
    columns = cv2.reduce(rough, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F).ravel()
    rows = cv2.reduce(rough, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F).ravel()
    level, middle = float(mean.item()) + 1, GRID // 2
    return Look(
        np.array(
            [
                np.median(coarse[inside]),
                np.log(deviation.item() + 0.1),
                np.median(np.log((fine_grid + 0.1) / (rough_grid + 0.1))[inside]),
                red - blue,
                green - (red + blue) / 2,
                (coarse[:, middle:].mean() - coarse[:, :middle].mean()) / level,
                (coarse[middle:].mean() - coarse[:middle].mean()) / level,
                _centre(columns),
                _centre(rows),
            ],
            np.float32,
        ),
        coarse,
    )


def _coarse(grid: np.ndarray) -> np.ndarray:
    """Means over the coarse grid, float32 `[GRID, GRID]`, of uint8 or float32 `[h, w]`."""
    if grid.dtype == np.uint8 and min(grid.shape) >= 16 * GRID:  # fast, in whole grey values
        size = (grid.shape[1] // 4, grid.shape[0] // 4)
        grid = cv2.resize(grid, size, interpolation=cv2.INTER_AREA)
    interpolation = cv2.INTER_AREA if min(grid.shape) >= GRID else cv2.INTER_LINEAR
    coarse: np.ndarray = cv2.resize(
        grid.astype(np.float32), (GRID, GRID), interpolation=interpolation
    )
    return coarse


def _centre(weight: np.ndarray) -> float:
    """Where the weight lies on average, 0 to 1; the middle where there is none."""
    place = (np.arange(len(weight)) + 0.5) / len(weight)
    return float((weight @ place + 0.5e-6) / (weight.sum() + 1e-6))
