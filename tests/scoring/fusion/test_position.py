"""Statistics by position against their formulas."""

import numpy as np

from patchcore_dual.scoring.fusion.position import PositionStatistics, position_statistics

RNG = np.random.default_rng(0)


def test_statistics_follow_the_position_and_the_prior_fades_as_images_grow():
    usual = np.zeros((6, 8))
    usual[2, 3] = 5.0
    few = [usual + RNG.standard_normal(usual.shape) for _ in range(2)]
    many = [usual + RNG.standard_normal(usual.shape) for _ in range(400)]
    assert position_statistics(few).mean[2, 3] < 3.5  # shrunk towards the neighbourhood
    found = position_statistics(many).mean
    assert abs(found[2, 3] - found[0, 0] - 5 / 2) < 0.2  # half of the difference is its own
    assert abs(position_statistics(many).deviation[5, 7] - 1) < 0.2


def test_statistics_of_a_single_cell_are_its_own():
    """It is its own neighbourhood; what neighbours do is in `test_position_by_loops.py`."""
    found = position_statistics([np.array([[v]]) for v in (1.0, 2.0, 6.0)])
    assert np.isclose(found.mean[0, 0], 3.0)
    assert np.isclose(found.deviation[0, 0], np.std([1, 2, 6]), atol=1e-5)


def test_standardise_smooths_by_the_binomial_kernel_and_is_0_outside():
    flat = PositionStatistics(np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32))
    grid = RNG.standard_normal((3, 4)).astype(np.float32)
    expected = np.zeros((3, 4))
    for i in range(3):
        for j in range(4):
            for di, wi in ((-1, 0.25), (0, 0.5), (1, 0.25)):
                for dj, wj in ((-1, 0.25), (0, 0.5), (1, 0.25)):
                    if 0 <= i + di < 3 and 0 <= j + dj < 4:
                        expected[i, j] += wi * wj * grid[i + di, j + dj]
    assert np.allclose(flat.standardise(grid), expected, atol=1e-6)


def test_images_of_another_size_are_standardised_by_resized_statistics():
    grids = [RNG.standard_normal((4, 4)), RNG.standard_normal((4, 6)), RNG.standard_normal((4, 4))]
    found = position_statistics(grids)
    assert found.mean.shape == (4, 4)
    assert found.standardise(np.ones((8, 5), np.float32)).shape == (8, 5)
