import numpy as np
import pytest
from scipy import ndimage

from patchcore_dual.scoring import anomaly_map, resize_map
from reference.aggregation import bilinear


def grid(rows=5, columns=4):
    return np.random.default_rng(0).random((rows, columns)).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(40, 32), (37, 50)])
@pytest.mark.parametrize("sigma", [2.0, 4.0])
def test_bilinear_then_gaussian(height, width, sigma):
    heat = anomaly_map(grid(), height, width, sigma)
    assert heat.shape == (height, width)
    assert heat.dtype == np.float32
    upsampled = bilinear(grid()[None], height, width)[0]
    expected = ndimage.gaussian_filter(upsampled, sigma, mode="reflect", truncate=4)
    np.testing.assert_allclose(heat, expected, atol=1e-4)


def test_smoothing_is_in_pixels_of_the_image():
    one_cell = np.zeros((16, 16), np.float32)
    one_cell[8, 8] = 1
    for sigma in (2, 4):
        heat = anomaly_map(one_cell, 128, 128, sigma)
        rows = np.arange(128)
        weight = heat.sum(axis=1) / heat.sum()
        centre = (weight * rows).sum()
        assert centre == pytest.approx(8.5 * 8 - 0.5, abs=0.01)
        variance = (weight * (rows - centre) ** 2).sum()
        assert variance == pytest.approx(sigma**2 + (8**2) / 6, rel=0.03)  # and the cell's own


def test_a_flat_grid_stays_flat():
    heat = anomaly_map(np.full((5, 4), 3.5), 41, 33, 2.0)
    np.testing.assert_allclose(heat, 3.5, rtol=1e-5)


def test_resize_aligns_cells_by_their_areas():
    np.testing.assert_allclose(
        resize_map(grid(), 23, 31), bilinear(grid()[None], 23, 31)[0], atol=2e-3
    )
    assert np.array_equal(resize_map(grid(), 5, 4), grid())


@pytest.mark.parametrize("cell", [4, 8, 16, 32])
@pytest.mark.parametrize(("height", "width"), [(100, 61), (97, 130), (96, 64)])
def test_a_cell_lies_at_its_place_in_sizes_that_cells_do_not_divide(cell, height, width):
    rows, columns = -(-height // cell), -(-width // cell)
    for row, column in ((0, 0), (rows - 2, columns - 2), (rows // 2, columns - 2)):
        one_cell = np.zeros((rows, columns), np.float32)
        one_cell[row, column] = 1
        heat = anomaly_map(one_cell, height, width, 0.5)
        assert heat.shape == (height, width)
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        assert (y // cell, x // cell) == (row, column)


def test_a_map_of_whole_cells_is_the_beginning_of_a_larger_one():
    cells = grid(5, 4)
    heat, larger = anomaly_map(cells, 37, 29, 0.4), anomaly_map(cells, 40, 32, 0.4)
    np.testing.assert_allclose(heat[:34, :26], larger[:34, :26], atol=1e-6)
