"""Evidence of both banks against loops over patches and vectors."""

import numpy as np
import pytest

from patchcore_dual.scoring import gather_evidence
from reference import scores as slow
from scoring.random_vectors import GRID, bank, image, patches


@pytest.mark.parametrize("seed", range(3))
def test_distances_and_weights_are_the_formulas(seed):
    features, normal, defect = image(seed), bank(40, seed=5), bank(12, seed=6, spread=2)
    evidence = gather_evidence(features, normal, defect)
    q = patches(features)
    assert evidence.normal.distance.shape == evidence.defect.distance.shape == GRID
    np.testing.assert_allclose(
        evidence.normal.distance.ravel(), slow.d(q, normal.vectors), rtol=1e-5
    )
    np.testing.assert_allclose(
        evidence.defect.distance.ravel(), slow.d(q, defect.vectors), rtol=1e-5
    )
    w_n, w_p = slow.w_normal(q, normal.vectors), slow.w_positive(q, defect.vectors)
    assert evidence.normal.weight == pytest.approx(w_n, rel=1e-5)
    assert evidence.defect.weight == pytest.approx(w_p, rel=1e-5)
    assert 0 < w_n < 1
    assert 0 < w_p < 1
    reached = np.linalg.norm(features - normal.vectors[evidence.normal.index], axis=-1)
    np.testing.assert_allclose(reached, evidence.normal.distance, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_weights_in_banks_of_a_few_vectors(n):
    """b is the bank's size where that is smaller; below two vectors there is no weight."""
    features, few = image(), bank(n)
    evidence = gather_evidence(features, few, few)
    q = patches(features)
    assert evidence.normal.weight == pytest.approx(slow.w_normal(q, few.vectors), rel=1e-5)
    assert evidence.defect.weight == pytest.approx(slow.w_positive(q, few.vectors), rel=1e-5)
    assert (evidence.normal.weight == 1) == (evidence.defect.weight == 1) == (n < 2)


def test_weights_cost_a_search_and_are_left_out_unless_requested():
    evidence = gather_evidence(image(), bank(9), bank(9, seed=3), weighted=False)
    assert evidence.normal.weight == evidence.defect.weight == 1
