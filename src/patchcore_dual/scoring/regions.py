"""Regions: connected parts of the anomaly map above the pixel threshold."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Region:
    """A suspicious place, in pixels of the image that was given.

    `x`, `y` is its upper left corner; `area` counts its pixels; `peak` is the highest map value.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    peak: float


def find_regions(anomaly_map: np.ndarray, threshold: float) -> tuple[Region, ...]:
    """8-connected parts of a float32 map `[H, W]` above `threshold`, highest peak first."""
    above = (anomaly_map > threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    regions = []
    for label in range(1, count):
        x, y, width, height, area = (int(v) for v in stats[label])
        window = (slice(y, y + height), slice(x, x + width))
        peak = float(anomaly_map[window][labels[window] == label].max())
        regions.append(Region(x, y, width, height, area, peak))
    return tuple(sorted(regions, key=lambda region: -region.peak))


def peak_region(anomaly_map: np.ndarray) -> Region:
    """The part around the map's maximum that stands above halfway between median and maximum.

    For an image that is rejected although smoothing left no pixel above the pixel threshold.
    """
    middle = (float(np.median(anomaly_map)) + float(anomaly_map.max())) / 2
    regions = find_regions(anomaly_map, middle)
    if not regions:  # a flat map has no part that stands out: all of it is the place
        height, width = anomaly_map.shape
        return Region(0, 0, width, height, height * width, float(anomaly_map.max()))
    return regions[0]
