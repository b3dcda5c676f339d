"""Regions against scipy.ndimage.label."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from patchcore_dual.scoring import Region, find_regions


def by_scipy(heat, threshold):
    labels, _ = ndimage.label(heat > threshold, structure=np.ones((3, 3)))
    regions = set()
    for i, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        regions.add(
            Region(
                columns.start,
                rows.start,
                columns.stop - columns.start,
                rows.stop - rows.start,
                int((labels == i).sum()),
                float(heat[labels == i].max()),
            )
        )
    return regions


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("sigma", [0.0, 2.0])
def test_as_scipy_labels_them(threshold, sigma):
    noise = np.random.default_rng(0).random((60, 45))
    heat = ndimage.gaussian_filter(noise, sigma)
    heat = ((heat - heat.min()) / np.ptp(heat)).astype(np.float32)
    regions = find_regions(heat, threshold)
    assert len(regions) == len(set(regions))
    assert set(regions) == by_scipy(heat, threshold)
    peaks = [region.peak for region in regions]
    assert peaks == sorted(peaks, reverse=True)


def test_by_hand():
    heat = np.zeros((6, 8), np.float32)
    heat[1, 2:5] = 2
    heat[2, 5] = 3  # touches by a corner
    heat[5, 0] = 7
    assert find_regions(heat, 1) == (Region(0, 5, 1, 1, 1, 7.0), Region(2, 1, 4, 2, 4, 3.0))
    assert find_regions(heat, 3) == (Region(0, 5, 1, 1, 1, 7.0),)
    assert find_regions(heat, 7) == ()


def test_two_regions_in_one_box_have_their_own_peaks():
    heat = np.zeros((5, 5), np.float32)
    heat[0, :] = heat[:, 0] = 1
    heat[3, 3] = 9
    assert find_regions(heat, 0.5) == (Region(3, 3, 1, 1, 1, 9.0), Region(0, 0, 5, 5, 9, 1.0))


def test_the_one_region_is_where_the_map_is_highest():
    heat = np.ones((20, 30), np.float32)
    heat[4:6, 10:13] = 5
    heat[15, 20] = 4
    assert find_regions(heat, 9, at_least_one=True) == (Region(10, 4, 3, 2, 6, 5.0),)


def test_the_one_region_of_a_flat_map_is_all_of_it():
    flat = np.full((4, 6), 2.5, np.float32)
    assert find_regions(flat, 9, at_least_one=True) == (Region(0, 0, 6, 4, 24, 2.5),)


@pytest.mark.parametrize("threshold", [1, 3])
def test_labels_are_made_for_the_box_of_the_regions_alone(threshold):
    """Of a large image they would take as much memory as its map."""
    heat = np.zeros((1200, 1000), np.float32)
    heat[801:840, 601:650] = 2
    tracemalloc.start()
    regions = find_regions(heat, threshold, at_least_one=True)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert regions == (Region(601, 801, 49, 39, 49 * 39, 2.0),)
    # A byte a pixel tells those above; the median of the map takes a copy of it, and a byte.
    assert most < heat.size * (1.5 if threshold == 1 else 5.5)
