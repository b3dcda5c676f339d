"""Statistics by place, and the probe, against loops and scikit-learn."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from patchcore_dual.scoring.fusion.position import (
    PRIOR_IMAGES,
    PositionStatistics,
    position_statistics,
)
from patchcore_dual.scoring.fusion.probe import RIDGE, fit_logistic, fit_probe, fit_whitening

RNG = np.random.default_rng(0)


def test_statistics_follow_place_and_forget_the_prior_as_images_grow():
    usual = np.zeros((6, 8))
    usual[2, 3] = 5.0
    few = [usual + RNG.standard_normal(usual.shape) for _ in range(2)]
    many = [usual + RNG.standard_normal(usual.shape) for _ in range(400)]
    assert position_statistics(few).mean[2, 3] < 3.5  # pulled towards the neighbourhood
    assert abs(position_statistics(many).mean[2, 3] - 5) < 0.3
    assert abs(position_statistics(many).deviation[5, 7] - 1) < 0.2


def test_statistics_of_one_cell_follow_the_formula():
    grids = [np.array([[v]]) for v in (1.0, 2.0, 6.0)]
    found = position_statistics(grids)
    n, variance = 3, np.var([1, 2, 6])
    # With a single cell the neighbourhood is the cell itself.
    pooled = (n * variance + PRIOR_IMAGES * variance) / (n + PRIOR_IMAGES)
    assert np.isclose(found.mean[0, 0], 3.0)
    assert np.isclose(found.deviation[0, 0], np.sqrt(pooled), atol=1e-5)


def test_standardise_weighs_the_neighbourhood_and_is_neutral_outside():
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


def test_images_of_another_size_are_read_against_resized_statistics():
    grids = [RNG.standard_normal((4, 4)), RNG.standard_normal((4, 6)), RNG.standard_normal((4, 4))]
    found = position_statistics(grids)
    assert found.mean.shape == (4, 4)
    assert found.standardise(np.ones((8, 5), np.float32)).shape == (8, 5)


def test_whitening_makes_good_patches_round():
    mixing = RNG.standard_normal((5, 5)) * np.array([10, 3, 1, 1, 1])
    patches = (RNG.standard_normal((20_000, 5)) @ mixing + 7).astype(np.float32)
    white = fit_whitening(patches)(patches)
    assert np.allclose(white.mean(axis=0), 0, atol=1e-2)
    off_diagonal = np.cov(white.T) - np.diag(np.diag(np.cov(white.T)))
    assert np.abs(off_diagonal).max() < 0.02
    assert np.diag(np.cov(white.T)).max() < 1.2


def test_logistic_agrees_with_scikit_learn():
    x = RNG.standard_normal((300, 4))
    y = x[:, 0] + 0.5 * RNG.standard_normal(300) > 0.3
    weight = RNG.uniform(0.5, 1.5, 300) / 300
    beta, intercept = fit_logistic(x, y, weight, ridge=0.1)
    other = LogisticRegression(C=1 / 0.1, tol=1e-10, max_iter=2000).fit(x, y, sample_weight=weight)
    assert np.allclose(beta, other.coef_[0], atol=1e-3)
    assert np.isclose(intercept, other.intercept_[0], atol=1e-3)


def test_logistic_without_data_is_its_prior_and_never_negative():
    x = RNG.standard_normal((50, 2))
    y = x[:, 0] - x[:, 1] > 0
    prior = np.array([0.5, 0.5])
    stiff, _ = fit_logistic(x, y, np.full(50, 1 / 50), ridge=1e6, prior=prior)
    assert np.allclose(stiff, prior, atol=1e-3)
    loose, _ = fit_logistic(x, y, np.full(50, 1 / 50), ridge=1e-3, prior=prior, nonnegative=True)
    assert loose[0] > 1
    assert loose[1] == 0


def test_probe_reads_raw_features_and_counts_every_defective_image_alike():
    normal = RNG.standard_normal((3000, 4)).astype(np.float32)
    one = (RNG.standard_normal((500, 4)) + np.array([6, 0, 0, 0])).astype(np.float32)
    other = (RNG.standard_normal((5, 4)) + np.array([0, 6, 0, 0])).astype(np.float32)
    whitening = fit_whitening(normal)
    probe = fit_probe(whitening, whitening(normal), [whitening(one), whitening(other)])
    assert probe(one).mean() > 0 > probe(normal).mean()
    assert probe.weights[1] > 0.5 * probe.weights[0]  # five patches weigh as much as 500
    x = np.concatenate([one, other, normal])
    y = np.arange(len(x)) < 505
    weight = np.concatenate(
        [np.full(500, 0.25 / 500), np.full(5, 0.25 / 5), np.full(3000, 1 / 6000)]
    )
    white = whitening(x)
    expected = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=2000).fit(white, y, weight)
    assert np.allclose(probe(x), expected.decision_function(white), atol=2e-2)
