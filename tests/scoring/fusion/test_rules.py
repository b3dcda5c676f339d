"""Weights and fusion rules against the formulas, patch by patch."""

import math

import numpy as np
import pytest

from patchcore_dual.banks import MemoryBank
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
from patchcore_dual.scoring.neighbourhood_weights import defect_weight, normal_weight
from reference import scores as slow

GRID = (4, 5)


def held_out(*normals):
    return TrainingEvidence(tuple(HeldOutImage(e, i, 40, 32) for i, e in enumerate(normals)))


def bank(n, d=6, seed=0, spread=1.0):
    vectors = spread * np.random.default_rng(seed).standard_normal((n, d))
    zeros = np.zeros((n, 2), np.int32)
    return MemoryBank(vectors.astype(np.float32), np.zeros(n, np.int32), zeros, ("image",))


def image(seed=1, d=6):
    return np.random.default_rng(seed).standard_normal((*GRID, d)).astype(np.float32)


def patches(features):
    return [[float(v) for v in patch] for patch in features.reshape(-1, features.shape[-1])]


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


def test_weights_cost_a_search_and_are_left_out_unless_asked_for():
    evidence = gather_evidence(image(), bank(9), bank(9, seed=3), weighted=False)
    assert evidence.normal.weight == evidence.defect.weight == 1


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


def test_epsilon_is_the_hundredth_part_of_normal_distances():
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
