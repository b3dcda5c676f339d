"""A finer level is averaged over each cell, at factors where sampling it would differ."""

import numpy as np
import pytest
import torch

from patchcore_dual.features.aggregation import patch_features
from reference import aggregation as slow


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_finer_level_is_the_mean_of_every_place_in_a_cell(factor):
    fine = torch.randn(
        2, 3, 4 * factor, 3 * factor, generator=torch.Generator().manual_seed(factor)
    )
    coarse = torch.zeros(2, 1, 4, 3)
    features = patch_features([fine, coarse], (4, 3))[..., :3]
    for i in range(2):
        local = slow.neighbourhood_mean(fine[i].numpy())
        expected = np.zeros((4, 3, 3))
        for row in range(4):
            for column in range(3):
                rows = slice(row * factor, (row + 1) * factor)
                columns = slice(column * factor, (column + 1) * factor)
                expected[row, column] = local[:, rows, columns].mean(axis=(1, 2))
        np.testing.assert_allclose(features[i].numpy(), expected, atol=1e-5)
