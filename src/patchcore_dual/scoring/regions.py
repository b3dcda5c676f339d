"""Regions: connected components of the anomaly map above the pixel threshold."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Region:
    """A suspicious region of an image.

    Attributes:
        x, y: upper left corner of its bounding box, in pixels of the inspected image.
        width, height: size of the box, in pixels.
        area: number of pixels in the region.
        peak: highest value of the anomaly map in it.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    peak: float


def find_regions(
    anomaly_map: np.ndarray, threshold: float, *, at_least_one: bool = False
) -> tuple[Region, ...]:
    """Return the 8-connected components of the map above a threshold, highest peak first.

    Args:
        anomaly_map: float32 `[H, W]`; NaN, which is in no region, where it is not inspected.
        threshold: in units of the map; pixels at the threshold do not belong to a region.
        at_least_one: give the region around the peak where none is above the threshold, as may be
            after smoothing in an image that is rejected or reviewed.

    >>> heat = np.zeros((6, 8), np.float32)
    >>> heat[1, 2:5] = 2
    >>> heat[5, 7] = 3
    >>> for region in find_regions(heat, threshold=1):
    ...     print(region)
    Region(x=7, y=5, width=1, height=1, area=1, peak=3.0)
    Region(x=2, y=1, width=3, height=1, area=3, peak=2.0)
    """
    above = (anomaly_map > threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    del above
    regions = []
    for label in range(1, count):
        x, y, width, height, area = (int(v) for v in stats[label])
        window = (slice(y, y + height), slice(x, x + width))
        # Not by indexing, which would copy the region: that may be all of a large image.
        inside = (labels[window] == label).view(np.uint8)
        peak = float(cv2.minMaxLoc(anomaly_map[window], mask=inside)[1])
        regions.append(Region(x, y, width, height, area, peak))
    if at_least_one and not regions:
        return (_peak_region(anomaly_map),)
    return tuple(sorted(regions, key=lambda region: -region.peak))


def _peak_region(anomaly_map: np.ndarray) -> Region:
    """The region around the map's maximum that lies above the middle of median and maximum.

    The region of a constant map is the whole image.
    """
    highest = float(np.nanmax(anomaly_map))
    middle = (float(np.nanmedian(anomaly_map)) + highest) / 2
    regions = find_regions(anomaly_map, middle)
    if not regions:
        height, width = anomaly_map.shape
        return Region(0, 0, width, height, height * width, highest)
    return regions[0]
