"""The region of interest: which pixels of an image are inspected, as a mask or polygons say it.

A mask is an image that is white where parts are inspected. Polygons are a JSON file, in pixels of
an image whose size it states:

    {"width": 640, "height": 480,
     "include": [[[20, 20], [620, 20], [620, 460], [20, 460]]],
     "ignore": [[[300, 200], [340, 200], [320, 240]]]}

What lies in some polygon of `include` is inspected, all of the image without any; what lies in one
of `ignore` is not. A file given to ignore says the opposite: what is white, or lies in a polygon of
either list, is not inspected.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.reading import read_image
from patchcore_dual.data.resizing import MAX_DISTORTION, distortion
from patchcore_dual.errors import DataError

ROI_NAME = "roi.png"  # in a prepared folder
_WHITE = 128  # values of a mask from here on are white
_KEYS = {"width", "height", "include", "ignore"}


def read_roi(roi: Path | str | None, ignore: Path | str | None = None) -> NDArray[np.bool_] | None:
    """The region that a file to inspect and one to ignore leave, bool `[H, W]`; None without both.

    Args:
        roi: a mask that is white where parts are inspected, or polygons as a JSON file.
        ignore: one that is white where they are not, or polygons around it. Where the two sizes
            differ, the region is of this one's.

    Raises:
        ImageError: for a mask that cannot be read.
        DataError: for polygons that are none, files that leave nothing to inspect, or two files of
            different proportions.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "corner.json")
    ...     text = '{"width": 4, "height": 3, "ignore": [[[0, 0], [2, 0], [2, 2], [0, 2]]]}'
    ...     _ = file.write_text(text)
    ...     read_roi(file).astype(int)
    array([[0, 0, 1, 1],
           [0, 0, 1, 1],
           [1, 1, 1, 1]])
    """
    region = None if roi is None else _read(Path(roi), to_ignore=False)
    if ignore is not None:
        remaining = _read(Path(ignore), to_ignore=True)
        if region is not None:
            height, width = remaining.shape
            remaining &= resize_region(region, width, height, str(roi), f"{ignore} is")
        region = remaining
    if region is not None and not region.any():
        names = " and ".join(str(path) for path in (roi, ignore) if path is not None)
        raise DataError(
            f"{names} leaves nothing to inspect. White is what --roi inspects and what --ignore "
            "leaves out: was the other one meant?"
        )
    return region


def resize_region(
    region: NDArray[np.bool_],
    width: int,
    height: int,
    name: str = "the region of interest",
    what: str = "the image is",
) -> NDArray[np.bool_]:
    """A region at the size of an image, which is resized in the same way.

    Args:
        region: bool `[H, W]`.
        width, height: of the image, in pixels.
        name, what: of the region and of the image, for the message.

    Returns:
        bool `[height, width]`: pixels of which at least half is in the region.

    Raises:
        DataError: the region has other proportions than the image.

    >>> resize_region(np.array([[True, True, False, False]] * 2), 2, 1).tolist()
    [[True, False]]
    """
    if region.shape == (height, width):
        return region
    own = region.shape[1], region.shape[0]
    if distortion(own, (width, height)) > MAX_DISTORTION:
        raise DataError(
            f"{name} is {own[0]}x{own[1]}, and {what} {width}x{height}: their proportions differ. "
            "Draw the region on one of the images."
        )
    return _resized(region, width, height)


def region_for(
    region: NDArray[np.bool_],
    sizes: Sequence[tuple[int, int]],
    name: str = "the region of interest",
    what: str = "the image is",
) -> NDArray[np.bool_]:
    """A region that was drawn on an image of one of some sizes, at the first of them.

    Args:
        region: bool `[H, W]`.
        sizes: width and height of the images as a model sees them, and as they were photographed.
        name, what: of the region and of the image, for the message.

    Raises:
        DataError: the region has the proportions of none.
    """
    own = region.shape[1], region.shape[0]
    drawn_on = min(sizes, key=lambda size: distortion(own, size))
    at_that_size = resize_region(region, *drawn_on, name, what)
    return at_that_size if drawn_on == sizes[0] else _resized(region, *sizes[0])


def in_both(
    one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """What lies in two regions, either of which may be None for all, at the size of the second.

    Raises:
        DataError: they have different proportions, or nothing lies in both.
    """
    if one is None or other is None:
        return other if one is None else one
    height, width = other.shape
    region: NDArray[np.bool_] = other & resize_region(one, width, height, what="another region is")
    if not region.any():
        raise DataError("nothing is left to inspect: two regions of interest have no common part.")
    return region


def _resized(region: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    share = cv2.resize(region.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(share >= 0.5)


def _read(path: Path, *, to_ignore: bool) -> NDArray[np.bool_]:
    """What a file leaves to inspect, bool `[H, W]`."""
    if path.suffix.lower() != ".json":
        white = read_image(path).mean(axis=2) >= _WHITE
        return ~white if to_ignore else white
    content = _content(path)
    width, height = (_side(path, content, side) for side in ("width", "height"))
    size = width, height
    include, ignore = (_polygons(path, content, key, size) for key in ("include", "ignore"))
    if to_ignore:
        return ~_inside([*include, *ignore], size)
    inside = _inside(include, size) if include else np.ones((height, width), dtype=bool)
    return inside & ~_inside(ignore, size)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}.") from None
    if not isinstance(content, dict) or not content.keys() & {"include", "ignore"}:
        raise DataError(
            f"{path} has no polygons: it has to be an object with width, height, and include or "
            "ignore."
        )
    if unknown := sorted(content.keys() - _KEYS):
        raise DataError(f"{path} has the unknown key {unknown[0]!r}; known: {sorted(_KEYS)}.")
    return content


def _side(path: Path, content: dict[str, Any], side: str) -> int:
    value = content.get(side)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 2**16:
        raise DataError(
            f"{path}: {side} is {value!r}. Give the {side} in pixels of the image that the "
            "polygons were drawn on."
        )
    return value


def _polygons(
    path: Path, content: dict[str, Any], key: str, size: tuple[int, int]
) -> list[NDArray[np.float64]]:
    """Those of one key, checked, float64 `[n, 2]` each."""
    polygons = content.get(key, [])
    if not isinstance(polygons, list):
        raise DataError(f"{path}: {key} is {polygons!r}; give a list of polygons.")
    checked = []
    for number, polygon in enumerate(polygons, start=1):
        which = f"{path}: polygon {number} of {key}"
        if not isinstance(polygon, list) or len(polygon) < 3:
            raise DataError(f"{which} has fewer than 3 points: {polygon!r}.")
        for point in polygon:
            is_pair = isinstance(point, list) and len(point) == 2
            if not is_pair or not all(_is_number(value) for value in point):
                raise DataError(f"{which} has the point {point!r}; give two numbers, [x, y].")
            if not (0 <= point[0] <= size[0] and 0 <= point[1] <= size[1]):
                raise DataError(
                    f"{which} has the point {point!r}, which lies outside the image of "
                    f"{size[0]}x{size[1]} pixels."
                )
        checked.append(np.array(polygon, dtype=np.float64))
    return checked


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _inside(polygons: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """bool `[height, width]`: pixels whose centres lie in some polygon, by the even-odd rule."""
    x, y = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    inside = np.zeros((size[1], size[0]), dtype=bool)
    for polygon in polygons:
        crossings = np.zeros_like(inside)
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            rows = np.flatnonzero((y0 <= y) != (y1 <= y))
            if len(rows):
                at = x0 + (y[rows] - y0) * (x1 - x0) / (y1 - y0)
                crossings[rows] ^= x[None, :] >= at[:, None]
        inside |= crossings
    return inside
