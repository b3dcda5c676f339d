"""The bootstrap: weighted figures against repeated images, draws by group, intervals, pairing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.evaluation.image_result import ImageResult
from patchcore_dual.evaluation.metrics import auroc, average_precision, recall_at_fpr
from patchcore_dual.evaluation.results import summarise
from patchcore_dual.experiments import bootstrap
from patchcore_dual.experiments.bootstrap import RESAMPLED, Figure, Resampling

ABOUT = {
    **{"dataset": "d", "split": "test", "scoring": "s", "backbone": "b"},
    **{"weights_sha256": "0", "size": "8x8", "seed": 0},
}


def evaluation(scores, labels, names=None, kinds=None, threshold=0.5):
    n = len(scores)
    names = names or [f"i{k}" for k in range(n)]
    kinds = kinds or ["crack" if label else "" for label in labels]
    images = [
        ImageResult(
            name,
            "positive" if label else "negative",
            kind,
            float(score),
            "reject" if score > threshold else "pass",
        )
        for name, label, kind, score in zip(names, labels, kinds, scores, strict=True)
    ]
    return summarise(images, threshold, None, **ABOUT)


@given(st.integers(0, 10_000))
def test_weighted_figures_are_those_of_repeated_images(seed):
    generator = np.random.default_rng(seed)
    n = int(generator.integers(2, 15))
    scores = generator.integers(0, 6, n) / 5  # with ties
    labels = generator.random(n) < 0.5
    weights = generator.integers(0, 4, (5, n)).astype(float)
    one = evaluation(scores, labels)
    rejected = np.array([r.is_rejected for r in one.images])
    for r in range(5):
        times = weights[r].astype(int)
        s, y, alarm = (np.repeat(a, times) for a in (scores, labels, rejected))
        nan = float("nan")
        expected = {
            "image_auroc": auroc(s, y),
            "image_ap": average_precision(s, y),
            "recall_at_fpr_01": recall_at_fpr(s, y, 0.01),
            "recall": alarm[y].mean() if y.any() else nan,
            "false_alarm_rate": alarm[~y].mean() if (~y).any() else nan,
        }
        for name, value in expected.items():
            assert RESAMPLED[name](one, weights)[r] == pytest.approx(value, nan_ok=True), name


def test_figures_without_weights_are_those_of_the_evaluation():
    generator = np.random.default_rng(3)
    one = evaluation(generator.random(40), generator.random(40) < 0.3)
    for name, figure in RESAMPLED.items():
        assert figure(one, np.ones((1, 40)))[0] == pytest.approx(getattr(one, name), nan_ok=True)


def test_groups_are_drawn_whole_and_within_their_stratum():
    labels = [True, False, False, True, True, False, False, False]
    kinds = ["crack", "", "", "hole", "crack", "", "", ""]
    one = evaluation(np.arange(8), labels, kinds=kinds)
    groups = dict(zip([r.path for r in one.images], "aabbcdde", strict=True))
    weights = Resampling([one], groups, 300).weights(one)
    assert (weights[:, 0] == weights[:, 1]).all()  # a
    assert (weights[:, 2] == weights[:, 3]).all()  # b, the only group with a hole, always there
    assert (weights[:, 3] == 1).all()
    assert (weights[:, 0] + weights[:, 4] == 2).all()  # a and c: two groups with cracks
    assert (weights[:, 5] + weights[:, 7] == 2).all()  # d and e: two groups without defects
    assert set(weights[:, 0]) == {0, 1, 2}


def test_a_group_in_several_test_sets_is_drawn_for_all_at_once():
    names = [f"i{k}" for k in range(6)]
    labels = [True, False] * 3
    first = evaluation(np.arange(6), labels, names)
    second = evaluation(np.arange(4), labels[2:], names[2:])
    resampling = Resampling([first, second], {n: n[:1] + str(int(n[1]) // 2) for n in names}, 50)
    np.testing.assert_array_equal(resampling.weights(first)[:, 2:], resampling.weights(second))


def test_draws_are_a_slow_loops():
    generator = np.random.default_rng(5)
    sets = [evaluation(generator.random(9), generator.random(9) < 0.5) for _ in range(3)]
    resampling = Resampling(sets, {}, 20)
    draws = resampling.draws(RESAMPLED["image_auroc"], sets)
    for r in range(20):
        values = []
        for one in sets:
            times = resampling.weights(one)[r].astype(int)
            values.append(auroc(np.repeat(one.scores, times), np.repeat(one.labels, times)))
        assert draws[r] == pytest.approx(np.nanmean(values), nan_ok=True)


def test_the_interval_of_a_mean_is_the_textbooks():
    # 400 groups of one image, half rejected: recall has the standard error of a coin.
    scores = np.tile([0.0, 1.0], 200)
    one = evaluation(np.append(scores, 0.0), [True] * 400 + [False])
    draws = Resampling([one], {}).draws(RESAMPLED["recall"], [one])
    figure = Figure.of([one.recall], draws)
    assert figure.mean == 0.5
    assert np.isnan(figure.deviation)
    # Of 90 % it would be 1.645 standard errors: 0.0079 nearer on either side.
    assert figure.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.003)
    assert figure.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.003)


def test_images_of_one_group_are_not_independent():
    scores, labels = np.append(np.tile([0.0, 1.0], 200), 0.0), [True] * 400 + [False]
    one = evaluation(scores, labels)
    groups = {f"i{k}": f"g{k % 2}{k // 40}" for k in range(400)}  # 20 groups, of equal scores
    draws = Resampling([one], groups).draws(RESAMPLED["recall"], [one])
    assert draws.std() == pytest.approx(0.5 / np.sqrt(20), rel=0.1)


def test_pairing_takes_away_what_methods_have_in_common():
    generator = np.random.default_rng(7)
    labels = generator.random(120) < 0.5
    difficulty = generator.standard_normal(120)
    worse = evaluation(difficulty + labels, labels)
    better = evaluation(difficulty + 1.1 * labels, labels)
    resampling = Resampling([worse, better], {})
    a, b = (resampling.draws(RESAMPLED["image_auroc"], [e]) for e in (worse, better))
    assert (b > a).all()  # although the intervals of the two overlap widely
    assert np.percentile(b, 5) < np.percentile(a, 95)
    assert (resampling.draws(RESAMPLED["image_auroc"], [worse]) == a).all()


def test_the_same_seed_gives_the_same_draws():
    one = evaluation([0.1, 0.9, 0.4, 0.8], [False, True, False, True])
    first, second = (Resampling([one], {}, 30, seed=4).weights(one) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first != Resampling([one], {}, 30, seed=5).weights(one)).any()


def test_an_interval_leaves_out_2_5_percent_of_the_draws_on_either_side():
    draws = np.random.default_rng(0).permutation(np.arange(1001.0))
    figure = Figure.of([500.0], draws)
    assert (figure.low, figure.high) == pytest.approx((25, 975))


@pytest.mark.parametrize(("fpr", "recall"), [(0.01, 0.5), (0.0099, 0.0), (0.02, 1.0)])
def test_recall_counts_a_rate_that_is_met_exactly(fpr, recall):
    """One false alarm in 100 normal images is 1 %, whether the images weigh 1 or 3."""
    scores = np.array([*range(100), 98.5, 97.5])
    labels = np.array([False] * 100 + [True] * 2)
    for weight in (1.0, 3.0):
        weights = np.full((1, 102), weight)
        assert bootstrap.weighted_recall_at_fpr(scores, labels, weights, fpr) == [recall]


def test_figures_that_are_undefined_have_no_interval():
    figure = Figure.of([1.0, 2.0], np.full(9, np.nan))
    assert (figure.mean, figure.deviation) == (1.5, pytest.approx(np.sqrt(0.5)))
    assert np.isnan([figure.low, figure.high]).all()
