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
    regions = _components(anomaly_map, threshold)
    if at_least_one and not regions:
        return (_peak_region(anomaly_map),)
    return tuple(sorted(regions, key=lambda region: -region.peak))


def _components(anomaly_map: np.ndarray, threshold: float) -> list[Region]:
    """The components above a threshold, in the order of their first pixels' rows.

    Labels, 4 bytes a pixel, are made for the box alone that holds them all.
    """
    above = (anomaly_map > threshold).view(np.uint8)
    left, top, width, height = cv2.boundingRect(above)
    if not width:
        return []
    left, top = left // 2 * 2, top // 2 * 2  # labels are given by blocks of 2x2 pixels
    box = above[top : top + height + 1, left : left + width + 1]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(box, connectivity=8)
    del above, box
    regions = []
    for label in range(1, count):
        x, y, width, height, area = (int(v) for v in stats[label])
        # Not by indexing, which would copy the region: that may be all of a large image.
        inside = (labels[y : y + height, x : x + width] == label).view(np.uint8)
        x, y = left + x, top + y
        values = anomaly_map[y : y + height, x : x + width]
        peak = float(cv2.minMaxLoc(values, mask=inside)[1])
        regions.append(Region(x, y, width, height, area, peak))
    return regions


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
