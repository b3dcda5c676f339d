"""Which cells of a grid a region of interest leaves."""

import numpy as np
import pytest

from patchcore_dual.errors import DataError
from patchcore_dual.features.inspected import inspected_cells, restricted


def test_a_cell_is_inspected_from_half_of_it_on():
    for pixels, expected in ((7, False), (8, True), (9, True)):
        region = np.zeros((8, 8), bool)
        region[np.unravel_index(np.arange(pixels), (4, 4))] = True
        assert inspected_cells(region, 2, 2).tolist() == [[expected, False], [False, False]]


def test_a_cell_that_reaches_beyond_the_image_counts_by_what_lies_in_it():
    everything = np.ones((9, 13), bool)  # cells of 4: the last are 1 pixel wide and high
    assert inspected_cells(everything, 3, 4).all()
    everything[:, 12:] = False
    assert inspected_cells(everything, 3, 4).all(axis=0).tolist() == [True, True, True, False]


def test_features_outside_are_nan():
    features = np.ones((2, 3, 5), np.float32)
    left, top = np.zeros((2, 8, 12), bool)
    left[:, :8] = top[:4] = True
    assert restricted(features, (8, 12), None, None) is features
    marked = restricted(features, (8, 12, 3), left, top)
    assert np.isnan(marked[..., 0]).tolist() == [[False, False, True], [True, True, True]]
    assert np.array_equal(np.isnan(marked).any(axis=-1), np.isnan(marked).all(axis=-1))
    with pytest.raises(DataError, match="covers half of no cell of the image: at 12x8 a cell is 4"):
        restricted(features, (8, 12), np.arange(12)[None, :].repeat(8, 0) == 0)
