import numpy as np
import pytest

from patchcore_dual.banks import PROJECTED_DIMENSIONS, projection_matrix


def test_columns_are_gaussian_and_of_unit_length():
    matrix = projection_matrix(1536, 0)
    assert matrix.shape == (1536, PROJECTED_DIMENSIONS) == (1536, 128)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=0), 1, atol=1e-6)
    standardised = matrix * np.sqrt(1536)
    assert abs(standardised.mean()) < 0.02
    assert abs((standardised**4).mean() - 3) < 0.1  # a Gaussian's fourth moment


def test_seeded():
    assert np.array_equal(projection_matrix(200, 5), projection_matrix(200, 5))
    assert not np.allclose(projection_matrix(200, 5), projection_matrix(200, 6))


def test_distances_shrink_by_the_root_of_the_dimensions():
    vectors = np.random.default_rng(0).standard_normal((40, 1536)).astype(np.float32)
    shrunk = np.linalg.norm(np.diff(vectors @ projection_matrix(1536, 0), axis=0), axis=1)
    whole = np.linalg.norm(np.diff(vectors, axis=0), axis=1)
    assert (shrunk / whole).mean() == pytest.approx(np.sqrt(128 / 1536), rel=0.05)


@pytest.mark.parametrize("dimensions", [1, 40, 128])
def test_few_dimensions_are_left_alone(dimensions):
    assert np.array_equal(projection_matrix(dimensions, 0), np.eye(dimensions, dtype=np.float32))


@pytest.mark.parametrize("dimensions", [40, 200])
def test_the_shared_matrix_cannot_be_changed(dimensions):
    with pytest.raises(ValueError, match="read-only"):
        projection_matrix(dimensions, 0)[0, 0] = 3
