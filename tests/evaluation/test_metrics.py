"""Image-level metrics against scikit-learn and against plain loops."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.evaluation import metrics
from reference import metrics as slow

# A few score values make ties the rule.
scored = st.lists(
    st.tuples(st.sampled_from([-1.5, 0.0, 0.1, 0.5, 2.0]) | st.floats(-1e6, 1e6), st.booleans()),
    min_size=2,
    max_size=40,
).filter(lambda pairs: len({label for _, label in pairs}) == 2)


@given(scored)
def test_agrees_with_scikit_learn(pairs):
    scores, labels = zip(*pairs, strict=True)
    expected_auroc = sklearn.metrics.roc_auc_score(labels, scores)
    expected_ap = sklearn.metrics.average_precision_score(labels, scores)
    assert metrics.auroc(scores, labels) == pytest.approx(expected_auroc, abs=1e-12)
    assert metrics.average_precision(scores, labels) == pytest.approx(expected_ap, abs=1e-12)


@given(scored)
def test_curves_agree_with_scikit_learn(pairs):
    scores, labels = zip(*pairs, strict=True)
    roc = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
    for ours, theirs in zip(metrics.roc_curve(scores, labels), roc, strict=True):
        np.testing.assert_allclose(ours, theirs)
    precisions, recalls, thresholds = sklearn.metrics.precision_recall_curve(labels, scores)
    # Theirs rises from the loosest threshold and ends in an added point (recall 0, precision 1).
    theirs = precisions[-2::-1], recalls[-2::-1], thresholds[::-1]
    for ours, their in zip(metrics.precision_recall_curve(scores, labels), theirs, strict=True):
        np.testing.assert_allclose(ours, their)


@given(scored, st.sampled_from([0.0, 0.01, 0.05, 0.25, 0.5, 1.0]))
def test_agrees_with_plain_loops(pairs, fpr):
    scores, labels = zip(*pairs, strict=True)
    assert metrics.auroc(scores, labels) == pytest.approx(slow.auroc(scores, labels))
    expected_ap = slow.average_precision(scores, labels)
    assert metrics.average_precision(scores, labels) == pytest.approx(expected_ap)
    assert metrics.best_f1(scores, labels) == pytest.approx(slow.best_f1(scores, labels))
    expected_recall = slow.recall_at_fpr(scores, labels, fpr)
    assert metrics.recall_at_fpr(scores, labels, fpr) == pytest.approx(expected_recall)


def test_recall_counts_a_rate_that_is_met_exactly():
    scores = [*range(100), 98.5, 97.5]
    labels = [False] * 100 + [True] * 2
    assert metrics.recall_at_fpr(scores, labels, 0.01) == 0.5
    assert metrics.recall_at_fpr(scores, labels, 0.02) == 1.0
    assert metrics.recall_at_fpr(scores, labels, 0.019) == 0.5
    assert metrics.recall_at_fpr(scores, labels, 0.0) == 0.0


def test_good_tied_with_defective_is_not_found_for_free():
    assert metrics.recall_at_fpr([1.0, 1.0], [False, True], 0.0) == 0.0
    assert metrics.auroc([1.0, 1.0], [False, True]) == 0.5


@pytest.mark.parametrize("labels", [[], [True, True], [False, False]])
def test_one_class_is_undefined(labels):
    scores = [0.5] * len(labels)
    assert np.isnan(metrics.auroc(scores, labels))
    assert np.isnan(metrics.average_precision(scores, labels))
    assert np.isnan(metrics.best_f1(scores, labels))
    assert np.isnan(metrics.recall_at_fpr(scores, labels, 0.05))
    rates, recalls, _ = metrics.roc_curve(scores, labels)
    assert np.isnan(rates).all() or np.isnan(recalls).all()


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([1.0, np.nan], [True, False]),
        ([1.0, np.inf], [True, False]),
        ([1.0], [True, False]),
        ([[1.0, 2.0]], [[True, False]]),
        ([1.0, 2.0], [2, 1]),
    ],
)
def test_unusable_arguments_are_refused(scores, labels):
    with pytest.raises(ValueError, match="have to be"):
        metrics.auroc(scores, labels)


def test_unusable_rate_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.recall_at_fpr([1.0, 2.0], [False, True], 5)
