"""Fusion rules against their formulas, patch by patch."""

import numpy as np
import pytest

from patchcore_dual.errors import SettingsError
from patchcore_dual.scoring import (
    RULES,
    Evidence,
    HeldOutImage,
    Nearest,
    TrainingEvidence,
    gather_evidence,
)
from patchcore_dual.scoring.fusion import PatchCore, PatchCoreWeighted, Ratio, rule_for
from reference import scores as slow
from scoring.random_vectors import GRID, bank, image, patches


def held_out(*normals):
    return TrainingEvidence(tuple(HeldOutImage(e, i, 40, 32) for i, e in enumerate(normals)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", list(slow.RULES))
def test_each_rule_is_its_formula(name, seed):
    features, normal, defect = image(seed), bank(30, seed=5), bank(7, seed=6, spread=1.5)
    rule = RULES[name]()
    score, grid = rule(gather_evidence(features, normal, defect, weighted=RULES[name].weighted))
    expected, cells = slow.RULES[name](patches(features), normal.vectors, defect.vectors)
    assert isinstance(score, float)
    assert score == pytest.approx(expected, rel=1e-4)
    assert grid.shape == GRID
    np.testing.assert_allclose(grid.ravel(), cells, rtol=1e-4, atol=1e-5)


def test_the_thesis_takes_its_maxima_at_different_patches():
    """max over max is not the max of the ratio; both stay what they are."""
    d_n, d_p = np.array([[1.0, 4.0]], np.float32), np.array([[0.5, 8.0]], np.float32)
    index = np.zeros((1, 2), np.int64)
    evidence = Evidence(Nearest(d_n, index, 0.5), Nearest(d_p, index, 0.25))
    assert RULES["thesis"]()(evidence)[0] == pytest.approx(0.5 * 4 / (0.25 * 8), rel=1e-5)
    assert RULES["ratio"]()(evidence)[0] == pytest.approx(2, rel=1e-5)
    assert RULES["contrast"]()(evidence)[0] == pytest.approx(0.75)
    assert RULES["patchcore"]()(evidence)[0] == 4
    assert RULES["patchcore-weighted"]()(evidence)[0] == 2
    np.testing.assert_array_equal(RULES["patchcore-weighted"]()(evidence)[1], d_n)


def test_epsilon_is_the_one_percent_quantile_of_normal_distances():
    normals = []
    for i in range(4):
        d_p = np.arange(i * 250, (i + 1) * 250, dtype=np.float32).reshape(10, 25)
        nearest = Nearest(d_p, np.zeros_like(d_p, dtype=np.int64))
        normals.append(Evidence(nearest, nearest))
    rule = Ratio().fit(held_out(*normals))
    assert rule.epsilon == pytest.approx(0.01 * 999)
    at = Evidence(*(Nearest(np.full((1, 1), v, np.float32), np.zeros((1, 1), int)) for v in (3, 0)))
    assert rule(at)[0] == pytest.approx(3 / rule.epsilon)
    assert Ratio.from_state(*rule.state()) == rule


@pytest.mark.parametrize("name", list(slow.RULES))
def test_without_defects_every_rule_is_patchcore(name):
    features, normal = image(), bank(30)
    rule = rule_for(name, has_defects=False)()
    evidence = gather_evidence(features, normal, None, weighted=rule.weighted)
    score, grid = rule.fit(held_out(evidence))(evidence)
    d_n = slow.d(patches(features), normal.vectors)
    weight = slow.w_normal(patches(features), normal.vectors) if "weighted" in name else 1
    assert score == pytest.approx(weight * max(d_n), rel=1e-5)
    np.testing.assert_allclose(grid.ravel(), d_n, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.needs_defects])
def test_rules_that_need_a_defect_bank_say_so(name):
    evidence = gather_evidence(image(), bank(9), None)
    with pytest.raises(ValueError, match="defect bank"):
        RULES[name]()(evidence)


def test_rules_by_name():
    assert rule_for("ratio", True) is Ratio
    assert rule_for("ratio", False) is PatchCore
    assert rule_for("patchcore-weighted", False) is PatchCoreWeighted
    with pytest.raises(SettingsError, match=r"no scoring rule 'rato'.*ratio, contrast, thesis"):
        rule_for("rato", True)


def test_the_baseline_is_smoothed_more():
    sigmas = {name: rule.sigma for name, rule in RULES.items() if name in slow.RULES}
    assert sigmas == {
        "ratio": 2,
        "contrast": 2,
        "thesis": 2,
        "patchcore": 4,
        "patchcore-weighted": 4,
    }
