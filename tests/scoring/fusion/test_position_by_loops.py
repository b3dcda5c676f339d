"""Statistics by position against loops over cells, where every term of the formula counts."""

import numpy as np
import pytest

from patchcore_dual.scoring.fusion.position import position_statistics
from reference import scores as slow


@pytest.mark.parametrize("count", [1, 2, 30])
def test_statistics_are_those_of_the_loops(count):
    """Cells differ in level and spread, so that neighbours pull, and steps between them count."""
    rng = np.random.default_rng(count)
    level, spread = 4 * rng.standard_normal((5, 7)), 0.1 + rng.random((5, 7)) ** 2
    grids = [level + spread * rng.standard_normal((5, 7)) for _ in range(count)]
    found = position_statistics(grids)
    mean, deviation = slow.position_statistics([grid.tolist() for grid in grids])
    np.testing.assert_allclose(found.mean, mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.deviation, deviation, rtol=1e-4)


def test_two_cells_by_hand():
    """A quiet cell beside a noisy one, of equal means: the terms of the formula do not cancel."""
    grids = [np.array([[0.0, v]]) for v in (-2.0, 2.0)]
    found = position_statistics(grids)
    # The Gaussian of the neighbourhood, cut off at 4; the border cell is repeated beyond it.
    kernel = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    own = kernel[:5].sum() / kernel.sum()  # the cell and all beyond the border on its side
    around = np.array([(1 - own) * 4, own * 4])
    variance = (2 * np.array([0.0, 4.0]) + 10 * around) / 12
    expected = np.sqrt(variance) ** 0.25 * np.sqrt(variance.mean()) ** 0.75 + 1e-6
    np.testing.assert_allclose(found.mean, [[0, 0]], atol=1e-6)
    np.testing.assert_allclose(found.deviation, expected[None], rtol=1e-5)
