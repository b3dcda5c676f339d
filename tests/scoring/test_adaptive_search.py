"""Approximate search: guesses, and exact distances where the rule looks."""

from dataclasses import dataclass

import numpy as np
import pytest

from patchcore_dual.banks import MemoryBank
from patchcore_dual.scoring import RULES, Rule, RuleOutput, gather_evidence
from patchcore_dual.scoring.adaptive_search import (
    EXACT_SHARES,
    TOLERANCE,
    choose_exact_share,
    search_adaptively,
)
from patchcore_dual.scoring.fusion import PatchCore, Ratio


def features(seed, h=20, w=30, d=40):
    rng = np.random.default_rng(seed)
    field = rng.standard_normal((h // 4 + 1, w // 4 + 1, d)).repeat(4, 0).repeat(4, 1)[:h, :w]
    return (field + 0.5 * rng.standard_normal((h, w, d))).astype(np.float32)


def bank(seed, images=6):
    vectors = np.concatenate([features(seed + i).reshape(-1, 40) for i in range(images)])
    n = len(vectors)
    image = np.repeat(np.arange(images, dtype=np.int32), n // images)
    names = tuple(f"image {i}" for i in range(images))
    return MemoryBank(vectors, image, np.zeros((n, 2), np.int32), names)


@pytest.fixture(scope="module")
def banks():
    return bank(100), bank(200, images=1)


@pytest.mark.parametrize("share", EXACT_SHARES)
@pytest.mark.parametrize("seed", range(5))
def test_patchcore_scores_are_those_of_exact_search(banks, share, seed):
    """By construction: a guess is never too small, and the farthest patch has been searched."""
    image = features(seed)
    exact = gather_evidence(image, banks[0], None).normal.distance
    found = search_adaptively(
        image, banks[0], None, None, PatchCore(), exact_share=share
    ).normal.distance
    assert found.max() == pytest.approx(exact.max(), rel=1e-5)
    assert found.argmax() == exact.argmax()
    assert (found >= exact * (1 - 1e-5)).all()
    if share < 1 / 2:
        assert (found > exact * (1 + 1e-5)).any()  # or it saved nothing


@pytest.mark.parametrize("share", EXACT_SHARES)
@pytest.mark.parametrize("rule", [Ratio(), RULES["contrast"]()])
@pytest.mark.parametrize("seed", range(3))
def test_so_are_those_of_rules_that_grow_with_the_distance(banks, rule, share, seed):
    image = features(seed)
    exact = rule(gather_evidence(image, *banks))[0]
    found = search_adaptively(image, *banks, None, rule, exact_share=share)
    assert rule(found)[0] == pytest.approx(exact, rel=1e-5)


def test_all_of_it_is_exact_search(banks):
    exact = gather_evidence(features(0), *banks)
    found = search_adaptively(features(0), *banks, None, Ratio(), exact_share=1.0)
    assert (found.normal.distance == exact.normal.distance).all()
    assert (found.defect.distance == exact.defect.distance).all()


@pytest.mark.parametrize("name", [name for name in RULES if name != "calibrated"])
def test_a_share_is_chosen_that_keeps_scores(banks, name):
    rule = RULES[name]()
    images = [(features(seed), *banks) for seed in range(6)]
    look = choose_exact_share(rule, 1.0, images, None)
    assert look.images == 6
    assert look.score_error <= TOLERANCE
    for image, *both in images:
        exact = rule(gather_evidence(image, *both, weighted=rule.weighted))[0]
        found = rule(search_adaptively(image, *both, None, rule, exact_share=look.exact_share))[0]
        assert abs(found - exact) <= TOLERANCE * max(abs(exact), 1.0)


@dataclass(frozen=True)
class Mean(Rule):
    """A rule whose score every patch decides."""

    def __call__(self, evidence):
        return RuleOutput(float(evidence.normal.distance.mean()), evidence.normal.distance)


def test_where_no_share_keeps_scores_search_stays_exact(banks):
    assert choose_exact_share(Mean(), 1e-6, [(features(0), *banks)], None).exact_share == 1
    assert choose_exact_share(Mean(), 1e-6, [], None).exact_share == 1


def test_a_small_bank_is_searched_exactly(banks):
    small = banks[0].select(np.arange(500))
    exact = gather_evidence(features(0), small, None).normal.distance
    found = search_adaptively(
        features(0), small, None, None, PatchCore(), exact_share=1 / 32
    ).normal.distance
    assert (found == exact).all()


def test_banks_of_other_channels_are_searched_exactly(banks):
    own = banks[0].restricted(np.arange(30)), banks[1]
    exact = gather_evidence(features(0), *own)
    found = search_adaptively(features(0), *own, None, Ratio(), exact_share=1 / 32)
    np.testing.assert_allclose(found.normal.distance, exact.normal.distance, rtol=1e-6)
