"""The figures of a study: AIAG's worked example, and what each counts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aiag import (
    ALL_EFFECTIVE,
    CROSS_TABLES,
    EFFECTIVE,
    FALSE_ALARM_RATES,
    KAPPAS,
    MISS_RATES,
    verdicts,
)
from patchcore_dual.evaluation.metrics import proportion_interval
from patchcore_dual.evaluation.study.attribute_study import (
    ACCEPT,
    REJECT,
    REVIEW,
    attribute_study,
    is_shown,
    parts_to_show,
    rating,
)


@pytest.fixture(scope="module")
def aiag():
    return attribute_study(*verdicts(), ["A", "B", "C"])


def test_the_arrangement_has_the_cross_tables_of_the_manual():
    said, reference = verdicts()
    by_name = dict(zip("ABC", said, strict=True))
    by_name["reference"] = np.broadcast_to(reference[:, None], said[0].shape)
    for (first, second), table in CROSS_TABLES.items():
        codes = 2 * (1 - by_name[first]) + (1 - by_name[second])
        assert tuple(np.bincount(codes.ravel(), minlength=4)) == table


def test_aiags_effectiveness(aiag):
    for a in aiag.appraisers:
        hits, low, high = EFFECTIVE[a.name]
        share = a.effectiveness
        assert (share.hits, share.n) == (hits, 50)
        assert (round(100 * share.low), round(100 * share.high)) == (low, high)
        # Whoever agrees with himself in this example agrees with the reference too.
        assert a.repeatability == share
    assert aiag.between.hits == aiag.all_effective.hits == ALL_EFFECTIVE


def test_aiags_misses_and_false_alarms(aiag):
    for a in aiag.appraisers:
        assert 100 * a.misses.value == pytest.approx(MISS_RATES[a.name], abs=0.051)
        assert 100 * a.false_alarms.value == pytest.approx(FALSE_ALARM_RATES[a.name], abs=0.051)


def test_aiags_kappas(aiag):
    for names, kappa in aiag.pairs.items():
        assert round(kappa.value, 2) == KAPPAS[names]
    for a in aiag.appraisers:
        assert round(a.kappa_reference.value, 2) == KAPPAS[a.name, "reference"]


def test_aiags_ratings(aiag):
    grades = {
        a.name: [rating(m, f.value) for m, f in a.measures().items()] for a in aiag.appraisers
    }
    assert grades == {
        "A": ["marginal", "not acceptable", "acceptable", "acceptable"],
        "B": ["acceptable", "not acceptable", "acceptable", "acceptable"],
        "C": ["marginal", "not acceptable", "marginal", "acceptable"],
    }
    b = aiag.appraisers[1]
    assert [is_shown(m, f) for m, f in b.measures().items()] == [False, False, False, False]


@pytest.mark.parametrize(
    ("measure", "values", "grades"),
    [
        ("effectiveness", (0.9, 0.899, 0.8, 0.799), "a m m n"),
        ("miss rate", (0.02, 0.0201, 0.05, 0.051), "a m m n"),
        ("false-alarm rate", (0.05, 0.051, 0.1, 0.101), "a m m n"),
        ("kappa", (0.751, 0.75, 0.4, 0.399), "a m m n"),
    ],
)
def test_limits_include_what_the_manual_says(measure, values, grades):
    assert [rating(measure, v)[0] for v in values] == grades.split()
    assert rating(measure, math.nan) == "undefined"


def test_a_review_apart_is_neither_right_nor_an_error():
    said = np.array([[[REVIEW, ACCEPT], [ACCEPT, ACCEPT], [REVIEW, REVIEW], [REJECT, REJECT]]])
    (a,) = attribute_study(said, np.array([0, 0, 1, 1]), ["model"]).appraisers
    assert (a.repeatability.hits, a.effectiveness.hits, a.reviews.hits) == (3, 2, 3)
    assert (a.misses.hits, a.false_alarms.hits) == (0, 0)


@given(
    arrays(
        np.int64,
        st.tuples(st.integers(1, 3), st.integers(4, 8), st.integers(2, 4)),
        elements=st.integers(0, 2),
    ),
    st.data(),
)
def test_every_figure_is_counted_as_by_hand(said, data):
    n_parts = said.shape[1]
    reference = [0, 1, *data.draw(st.lists(st.integers(0, 1), min_size=n_parts - 2))[: n_parts - 2]]
    reference = np.array(reference + [0] * (n_parts - len(reference)))
    study = attribute_study(said, reference, [f"a{i}" for i in range(len(said))])
    for a, of_parts in zip(study.appraisers, said.tolist(), strict=True):
        pairs = list(zip(of_parts, reference, strict=True))
        assert a.repeatability.hits == sum(len(set(v)) == 1 for v in of_parts)
        assert a.effectiveness.hits == sum(set(v) == {r} for v, r in pairs)
        assert a.misses.hits == sum(v.count(ACCEPT) for v, r in pairs if r == REJECT)
        assert a.false_alarms.hits == sum(v.count(REJECT) for v, r in pairs if r == ACCEPT)
        assert a.ever_missed.hits == sum(ACCEPT in v for v, r in pairs if r == REJECT)
        assert a.ever_alarmed.hits == sum(REJECT in v for v, r in pairs if r == ACCEPT)
        assert a.misses.n == said.shape[2] * a.ever_missed.n
        for share in (a.misses, a.false_alarms, a.reviews):
            assert share.low <= share.value <= share.high
            # Never narrower than that of independent trials.
            low, high = proportion_interval(share.hits, share.n)
            assert share.high - share.low >= high - low
    if len(said) > 1:
        everything = said.transpose(1, 0, 2).reshape(n_parts, -1).tolist()
        assert study.between.hits == sum(len(set(v)) == 1 for v in everything)
        right = [set(v) == {r} for v, r in zip(everything, reference, strict=True)]
        assert study.all_effective.hits == sum(right)
    assert (study.kappa_between is not None) == (len(said) == 3)


def test_so_many_parts_without_an_error_show_a_limit():
    for limit in (0.02, 0.05, 0.1):
        n = parts_to_show(limit)
        assert proportion_interval(0, n)[1] <= limit < proportion_interval(0, n - 1)[1]


@pytest.mark.parametrize(
    ("shape", "reference", "value"),
    [((1, 4, 1), [0, 0, 1, 1], 0), ((1, 4, 2), [0, 0, 1], 0), ((1, 4, 2), [0, 0, 1, 2], 0)],
)
def test_arrays_that_are_no_study_are_refused(shape, reference, value):
    with pytest.raises(ValueError, match=r"verdicts|references"):
        attribute_study(np.full(shape, value), np.array(reference), ["model"])
