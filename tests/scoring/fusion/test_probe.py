"""The probe against scikit-learn."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from patchcore_dual.scoring.fusion.logistic import _BLOCK, fit_logistic, fit_logistics
from patchcore_dual.scoring.fusion.probe import RIDGE, fit_probe, fit_whitening

RNG = np.random.default_rng(0)


def test_whitened_normal_patches_have_unit_covariance():
    mixing = RNG.standard_normal((5, 5)) * np.array([10, 3, 1, 1, 1])
    patches = (RNG.standard_normal((20_000, 5)) @ mixing + 7).astype(np.float32)
    white = fit_whitening(patches)(patches)
    assert np.allclose(white.mean(axis=0), 0, atol=1e-2)
    variances = np.linalg.eigvalsh(np.cov(white.T))  # directions of little variance have less
    assert 0.01 < variances.min() < variances.max() < 1.2


def test_logistic_agrees_with_scikit_learn():
    x = RNG.standard_normal((300, 4))
    y = x[:, 0] + 0.5 * RNG.standard_normal(300) > 0.3
    weight = RNG.uniform(0.5, 1.5, 300) / 300
    beta, intercept = fit_logistic(x, y, weight, ridge=0.1)
    other = LogisticRegression(C=1 / 0.1, tol=1e-10, max_iter=2000).fit(x, y, sample_weight=weight)
    assert np.allclose(beta, other.coef_[0], atol=1e-3)
    assert np.isclose(intercept, other.intercept_[0], atol=1e-3)


def test_logistic_without_data_is_its_prior_and_never_negative():
    x = np.random.default_rng(0).standard_normal((1000, 2))
    y = x[:, 0] - x[:, 1] > 0
    prior = np.array([0.5, 0.5])
    stiff, _ = fit_logistic(x, y, np.full(1000, 1 / 1000), ridge=1e6, prior=prior)
    assert np.allclose(stiff, prior, atol=1e-3)
    loose, _ = fit_logistic(
        x, y, np.full(1000, 1 / 1000), ridge=1e-3, prior=prior, nonnegative=True
    )
    assert loose[0] > 1
    assert loose[1] == 0


def test_probe_takes_raw_features_and_weights_every_defective_image_alike():
    normal = RNG.standard_normal((3000, 4)).astype(np.float32)
    one = (RNG.standard_normal((500, 4)) + np.array([6, 0, 0, 0])).astype(np.float32)
    other = (RNG.standard_normal((5, 4)) + np.array([0, 6, 0, 0])).astype(np.float32)
    whitening = fit_whitening(normal)
    probe = fit_probe(whitening, normal, [one, other])
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


def test_logistics_fitted_together_are_those_fitted_alone():
    rng = np.random.default_rng(3)
    n = 2 * _BLOCK + 100  # of which threads compute parts
    x = rng.standard_normal((n, 6)).astype(np.float32)
    y = x[:, 0] + 0.5 * rng.standard_normal(n) > 0.3
    counted = rng.random((n, 5)) > 0.2
    counted[:, 3] = y  # one class only: solved long after, or before, the others
    shares = counted / counted.sum(axis=0)
    bases = [np.tril(rng.standard_normal((6, 6)) + 3 * np.eye(6)).astype("f") for _ in range(5)]
    weights, intercepts = fit_logistics(x, y, shares, ridge=0.1, bases=bases)
    for j, basis in enumerate(bases):
        beta, intercept = fit_logistic(x @ basis, y, shares[:, j], ridge=0.1)
        assert np.allclose(weights[:, j], basis @ beta, atol=5e-3)
        alone, its_intercept = fit_logistics(x, y, shares[:, [j]], ridge=0.1, bases=[basis])
        assert np.allclose(weights[:, j], alone[:, 0], atol=1e-3)
        if j != 3:  # nothing pulls the intercept back there
            assert np.isclose(intercepts[j], intercept, atol=5e-3)
            assert np.isclose(intercepts[j], its_intercept[0], atol=1e-3)
