"""Aggregation and alignment against loops over cells."""

import numpy as np
import pytest
import torch

from patchcore_dual.features.aggregation import patch_features
from reference import aggregation as slow


def levels(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, *shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize(
    "shapes",
    [
        [(3, 8, 6), (4, 4, 3)],
        [(3, 7, 5), (2, 4, 3)],  # sizes that do not divide
        [(2, 9, 7), (3, 5, 4), (4, 3, 2)],
        [(5, 4, 4)],
        [(2, 1, 1), (3, 1, 1)],
    ],
)
def test_as_the_loops_have_it(shapes):
    maps = levels(*shapes)
    features = patch_features(maps, shapes[0][1:])
    assert features.shape == (2, *shapes[0][1:], sum(s[0] for s in shapes))
    for i in range(2):
        expected = slow.patch_features([m[i].numpy() for m in maps])
        np.testing.assert_allclose(features[i].numpy(), expected, atol=1e-5)


def test_zeros_around_the_map_count():
    """As in PatchCore's own code, which lowers the border."""
    features = patch_features([torch.ones(1, 1, 5, 5)], (5, 5))[0, ..., 0]
    assert features[2, 2] == 1
    assert features[0, 2] == pytest.approx(6 / 9)
    assert features[0, 0] == pytest.approx(4 / 9)


def test_zeros_around_the_map_can_be_left_out():
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    features = patch_features([ramp], (4, 4), count_padding=False)[0, ..., 0]
    torch.testing.assert_close(features, torch.tensor([0.5, 1, 2, 2.5]).expand(4, 4))


def test_a_finer_level_is_averaged_over_each_cell():
    fine, coarse = levels((2, 8, 6), (3, 4, 3))
    features = patch_features([fine, coarse], (4, 3))
    assert features.shape == (2, 4, 3, 5)
    for i in range(2):
        local = slow.neighbourhood_mean(fine[i].numpy())
        expected = local.reshape(2, 4, 2, 3, 2).mean(axis=(2, 4)).transpose(1, 2, 0)
        np.testing.assert_allclose(features[i, ..., :2].numpy(), expected, atol=1e-5)
