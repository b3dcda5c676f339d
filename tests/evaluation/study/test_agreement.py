"""Kappa against published examples, scikit-learn and the slow reference."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import cohen_kappa_score

from aiag import CROSS_TABLES, KAPPAS
from patchcore_dual.evaluation.study.agreement import (
    cohen_kappa,
    fleiss_kappa,
    kappa_of_pairs,
    kappa_of_raters,
    parts_interval,
)
from reference import agreement as slow

# 10 subjects in 5 categories by 14 raters: the worked example of the Wikipedia article.
FOURTEEN_RATERS = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)
# 200 patients by two clinicians: Fleiss, Cohen and Everitt (1969).
CLINICIANS = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])


def two_appraisers(n_categories=3):
    """Verdicts of two appraisers, int `[2, P, T]`."""
    shapes = st.tuples(st.just(2), st.integers(3, 9), st.integers(1, 4))
    return shapes.flatmap(lambda s: arrays(np.int64, s, elements=st.integers(0, n_categories - 1)))


@pytest.mark.parametrize("names", CROSS_TABLES, ids=" and ".join)
def test_the_kappas_of_aiags_example(names):
    table = np.array(CROSS_TABLES[names]).reshape(2, 2)
    assert table.sum() == 150
    assert round(cohen_kappa(table), 2) == KAPPAS[names]


def test_the_kappa_of_two_clinicians():
    assert round(cohen_kappa(CLINICIANS), 3) == 0.429


def test_the_kappa_of_fourteen_raters():
    assert round(fleiss_kappa(FOURTEEN_RATERS), 3) == 0.210


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 50, 0.0, 7.11), (45, 50, 78.19, 96.67), (50, 50, 92.89, 100.0), (1, 10, 0.25, 44.50)],
)
def test_intervals_are_those_of_clopper_and_pearson(hits, n, low, high):
    ends = [round(100 * end, 2) for end in parts_interval(hits / n, n)]
    assert ends == [low, high]


@given(two_appraisers())
def test_pairs_are_counted_as_by_hand(verdicts):
    first, second = verdicts
    parts = [list(zip(a, b, strict=True)) for a, b in zip(first, second, strict=True)]
    pairs = [pair for part in parts for pair in part]
    kappa = kappa_of_pairs(first, second)
    expected = slow.cohen(pairs)
    assert kappa.value == pytest.approx(expected, nan_ok=True)
    if math.isnan(expected):
        return
    theirs = cohen_kappa_score(first.ravel(), second.ravel())
    assert kappa.value == pytest.approx(theirs)
    assert kappa.low <= kappa.value + 1e-9
    assert kappa.value <= kappa.high + 1e-9
    assert kappa.high <= 1 + 1e-9
    error = slow.jackknife(slow.cohen, parts)
    assert kappa.standard_error == pytest.approx(error, nan_ok=True)


@given(two_appraisers())
def test_raters_are_counted_as_by_hand(verdicts):
    ratings = verdicts.transpose(1, 2, 0)
    parts = [[list(subject) for subject in part] for part in ratings]
    kappa = kappa_of_raters(ratings)
    expected = slow.fleiss([subject for part in parts for subject in part])
    assert kappa.value == pytest.approx(expected, nan_ok=True)
    if not math.isnan(expected):
        error = slow.jackknife(slow.fleiss, parts)
        assert kappa.standard_error == pytest.approx(error, nan_ok=True)


def test_the_standard_error_is_that_of_the_formula_where_trials_are_independent():
    cells = np.repeat(np.arange(9), CLINICIANS.ravel())
    kappa = kappa_of_pairs(cells[:, None] // 3, cells[:, None] % 3)
    formula = slow.cohen_standard_error(CLINICIANS.tolist())
    assert kappa.standard_error == pytest.approx(formula, rel=0.03)
    assert kappa.low < kappa.value - 1.8 * formula
    assert kappa.high > kappa.value + 1.8 * formula


@given(two_appraisers(2))
def test_trials_that_only_repeat_the_first_add_no_certainty(verdicts):
    once, often = verdicts[:, :, :1], np.repeat(verdicts[:, :, :1], 5, axis=2)
    first, second = kappa_of_pairs(*once), kappa_of_pairs(*often)
    for name in ("value", "low", "high", "standard_error"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), nan_ok=True)


def test_perfect_agreement_is_not_taken_for_certain():
    verdicts = np.array([[0, 0]] * 25 + [[1, 1]] * 25)
    kappa = kappa_of_pairs(verdicts, verdicts)
    assert (kappa.value, kappa.high, kappa.standard_error) == (1, 1, 0)
    assert round(kappa.low, 2) == 0.86


def test_verdicts_that_are_all_alike_have_no_kappa():
    alike = np.zeros((20, 3), np.int64)
    assert math.isnan(kappa_of_pairs(alike, alike).value)
    assert math.isnan(kappa_of_raters(alike[:, None]).low)
