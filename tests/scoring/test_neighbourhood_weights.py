"""The neighbourhood weights by hand."""

import math

import numpy as np
import pytest

from patchcore_dual.scoring.neighbourhood_weights import defect_weight, normal_weight


def test_weights_by_hand():
    distances, d = np.array([1.0, 2.0, 4.0]), 4
    share = math.exp(0.5) / (math.exp(0.5) + math.exp(1) + math.exp(2))
    assert normal_weight(distances, d) == pytest.approx(1 - share)
    assert defect_weight(distances, d) == pytest.approx(share)
    assert defect_weight(np.full(3, 7.0), d) == pytest.approx(1 / 3)
    assert normal_weight(distances[:1], d) == defect_weight(distances[:1], d) == 1


def test_weights_of_great_distances_do_not_overflow():
    assert defect_weight(np.array([1e5, 1e5 - 2, 0]), 4) == pytest.approx(1 / (1 + math.exp(-1)))
    assert normal_weight(np.array([0, 1e5]), 4) == pytest.approx(1)
