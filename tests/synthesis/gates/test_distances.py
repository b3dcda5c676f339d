"""Distances between sets of patch features, against loops and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.synthesis.gates import distances
from patchcore_dual.synthesis.gates.distances import frechet_distance, kernel_distance


def draw(seed: int, n: int, d: int, shift: float = 0, spread: float = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, spread, (n, d))


def kernel_by_loops(a: np.ndarray, b: np.ndarray) -> float:
    """KID's estimator as its paper writes it."""

    def kernel(x, y):
        return (sum(p * q for p, q in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(xs):
        pairs = [(i, j) for i in range(len(xs)) for j in range(len(xs)) if i != j]
        return sum(kernel(xs[i], xs[j]) for i, j in pairs) / len(pairs)

    between = sum(kernel(x, y) for x in a for y in b) / (len(a) * len(b))
    return within(a) + within(b) - 2 * between


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(2, 9), st.integers(1, 5))
def test_kernel_distance_is_what_loops_find(seed, n, m, d):
    a, b = draw(seed, n, d), draw(seed + 1, m, d, shift=0.7)
    assert kernel_distance(a, b) == pytest.approx(kernel_by_loops(a, b), rel=1e-9, abs=1e-9)


def test_kernel_distance_is_nothing_for_one_distribution_and_grows_with_the_shift():
    a, b = draw(1, 800, 8), draw(2, 800, 8)
    assert abs(kernel_distance(a, b)) < 0.02
    assert 0.02 < kernel_distance(a, b + 0.5) < kernel_distance(a, b + 1)


def test_kernel_distance_of_float32_sets_is_computed_in_double():
    a, b = (draw(seed, 50, 64, shift=40).astype(np.float32) for seed in (1, 2))
    expected = kernel_by_loops(a.astype(float).tolist(), b.astype(float).tolist())
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_of_large_sets_an_even_draw_is_taken(monkeypatch):
    monkeypatch.setattr(distances, "MAX_PATCHES", 5)
    a, b = draw(1, 17, 3), draw(2, 5, 3)
    assert kernel_distance(a, b) == pytest.approx(kernel_by_loops(a[[0, 4, 8, 12, 16]], b))


def test_frechet_distance_of_gaussians_along_the_axes_has_a_closed_form():
    """Diagonal covariances: |difference of means|² + Σ (difference of deviations)²."""
    rng = np.random.default_rng(0)
    white = np.linalg.qr(rng.normal(size=(60, 4)) - rng.normal(size=4))[0]
    white -= white.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    means = np.array([[0, 1, 2, 3], [1, 1, 0, 5]])
    deviations = np.array([[1, 2, 0.5, 3], [2, 2, 1, 0.1]])
    a, b = (white * s + m for s, m in zip(deviations, means, strict=True))
    expected = ((means[0] - means[1]) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected)


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_frechet_distance_is_the_root_of_the_product_of_covariances(seed, d):
    """Against the eigenvalues of ΣaΣb, which are real and not negative."""
    a, b = draw(seed, 12, d), draw(seed + 1, 15, d, shift=1, spread=2)
    covariances = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b)]
    root = np.sqrt(np.abs(np.linalg.eigvals(covariances[0] @ covariances[1]))).sum()
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = apart + sum(np.trace(c) for c in covariances) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_frechet_distance_of_a_set_from_itself_is_nothing():
    a = draw(3, 40, 6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n", "m"), [(6, 50), (50, 6), (2, 2)])
def test_too_few_patches_for_a_covariance(n, m):
    """As many vectors as dimensions span one dimension too few."""
    assert frechet_distance(draw(1, n, 6), draw(2, m, 6)) is None
    assert frechet_distance(draw(1, 7, 6), draw(2, 7, 6)) is not None
