"""The fit of `calibrated` (probe, channel weights, guard) against the same in plain loops."""

import math

import numpy as np
import pytest

from patchcore_dual.scoring import Evidence, HeldOutImage, Nearest, TrainingEvidence
from patchcore_dual.scoring.fusion.calibrated import Calibrated
from patchcore_dual.scoring.fusion.channel_weights import fit_channel_weights
from patchcore_dual.scoring.fusion.guard import ChannelMaxima, LeftOutCluster, choose_discount
from patchcore_dual.scoring.fusion.probe import fit_probe, fit_whitening
from reference import fitting as slow

H, W = 5, 6
ON_DEFECT = np.zeros((H, W), bool)
ON_DEFECT[1:4, 2:5] = True


def nearest(values):
    values = np.asarray(values, np.float32)
    return Nearest(values, np.zeros(values.shape, np.int64))


def evidence_of(rng, level, at_defect=(0.0, 0.0, 0.0)):
    """d_N, d_P and log odds at random around a level by cell, and other values on the defect."""
    values = level + 0.4 * rng.standard_normal((3, H, W))
    values += np.array(at_defect)[:, None, None] * ON_DEFECT
    return nearest(np.exp(values[0])), nearest(np.exp(values[1])), values[2].astype(np.float32)


def made_up(seed, seen, unseen):
    """30 normal images, and defects of two clusters, one of them of many images.

    Args:
        seen, unseen: how defects differ from the surface in log d_N, log d_P and the log odds,
            with their cluster known and with it left out.
    """
    rng = np.random.default_rng(seed)
    level = 0.5 * rng.standard_normal((3, H, W))

    def image(fold, clusters, at_defect, at_defect_unseen, cells=None, is_known=True):
        normal, defect, logit = evidence_of(rng, level, at_defect)
        others = {}
        for cluster in clusters:
            # Another level without the cluster: a scale of its own is needed.
            shift = 1.0 + 2 * cluster
            _, far, odds = evidence_of(rng, level, at_defect_unseen)
            others[cluster] = Evidence(
                normal, nearest(far.distance / np.float32(1 + cluster)), odds * np.float32(shift)
            )
        return HeldOutImage(
            Evidence(normal, defect, logit), fold, 8 * W, 8 * H, cells, others, is_known
        )

    none = (0.0, 0.0, 0.0)
    normals = [image(i % 5, (0, 1), none, none) for i in range(30)]
    defectives = [
        image(i % 5, (cluster,), seen, unseen, ON_DEFECT, is_known=i != 2)
        for cluster, count in ((0, 3), (1, 9))
        for i in range(count)
    ]
    return TrainingEvidence(tuple(normals), tuple(defectives))


def as_lists(image):
    def grids(evidence):
        return {
            "defect": evidence.defect.distance.astype(float).tolist(),
            "logit": evidence.logit.astype(float).tolist(),
        }

    return {
        **grids(image.evidence),
        "normal": image.evidence.normal.distance.astype(float).tolist(),
        "fold": image.fold,
        "cells": None if image.defect_cells is None else image.defect_cells.tolist(),
        "is_known": image.is_known,
        "unseen": {cluster: grids(evidence) for cluster, evidence in image.unseen.items()},
    }


@pytest.mark.parametrize(
    ("seed", "seen", "unseen"),
    [
        (0, (0.3, -0.5, 1.0), (0.3, 0.0, 0.4)),
        (1, (0.6, 0.4, 0.3), (0.6, 0.2, -0.5)),
        (2, (0.5, -0.3, -1.0), (0.5, 0.1, 0.0)),
    ],
)
def test_the_whole_fit_is_that_of_the_loops(seed, seen, unseen):
    training = made_up(seed, seen, unseen)
    rule = Calibrated().fit(training)
    weights, discount, recall_unseen, recall_seen = slow.fit_calibrated(
        [as_lists(image) for image in training.normals],
        [as_lists(image) for image in training.defectives],
    )
    np.testing.assert_allclose(rule.weights, weights, atol=2e-4)
    assert rule.discount == discount
    assert rule.guard.discount == discount
    assert rule.guard.unseen == pytest.approx(recall_unseen[discount], abs=1e-9)
    assert rule.guard.unseen_without == pytest.approx(recall_unseen[math.inf], abs=1e-9)
    assert rule.guard.unseen_undiscounted == pytest.approx(recall_unseen[0.0], abs=1e-9)
    assert rule.guard.seen == pytest.approx(recall_seen[discount], abs=1e-9)
    assert rule.guard.seen_without == pytest.approx(recall_seen[math.inf], abs=1e-9)


@pytest.mark.parametrize("n_defectives", [1, 4, 20])
@pytest.mark.parametrize("signs", [(1, 1, 1), (1, -1, 1)])
def test_channel_weights_are_those_of_the_loops(n_defectives, signs):
    rng = np.random.default_rng(n_defectives)
    normals = list(rng.standard_normal((25, 3, H, W)))
    defectives = list(rng.standard_normal((n_defectives, 3, H, W)))
    for one in defectives:
        one += np.array([0.4, 1.2, 0.8])[:, None, None] * np.array(signs)[:, None, None] * ON_DEFECT
        one[1] -= 3 * ~ON_DEFECT  # elsewhere, it says the opposite
    found = fit_channel_weights(normals, defectives, [ON_DEFECT] * n_defectives)
    expected = slow.channel_weights(
        [one.tolist() for one in normals],
        [one.tolist() for one in defectives],
        [ON_DEFECT.tolist()] * n_defectives,
    )
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert min(found) >= 0


def test_the_more_defective_images_there_are_the_less_the_prior_counts():
    rng = np.random.default_rng(0)
    normals = list(rng.standard_normal((40, 3, H, W)))
    weights = []
    for count in (1, 5, 40):
        defectives = list(rng.standard_normal((count, 3, H, W)))
        for one in defectives:
            one[2] += 4
        weights.append(fit_channel_weights(normals, defectives, [ON_DEFECT] * count)[2])
    assert weights[0] < weights[1] - 0.05 < weights[2] - 0.1


def random_maxima(rng, n, unfamiliar=0.0, known=0.0):
    """In steps of a half, so that ties are the rule."""
    pair = rng.exponential(size=(2, n)) + np.array([[unfamiliar], [known]])
    return ChannelMaxima(*np.round(2 * pair) / 2)


def pairs(maxima):
    return list(zip(maxima.unfamiliar.tolist(), maxima.known.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(40))
def test_the_guards_choice_is_that_of_the_loops(seed):
    rng = np.random.default_rng(seed)
    normals = random_maxima(rng, 40)
    defects = random_maxima(rng, 12, *rng.uniform(0, 3, 2))
    left_out = [
        LeftOutCluster(
            random_maxima(rng, 40, 0, rng.uniform(0, 2)),
            random_maxima(rng, count, *rng.uniform(0, 3, 2)),
        )
        for count in (2, 9)
    ]
    report = choose_discount(normals, defects, left_out)
    discount, unseen, seen = slow.guard(
        pairs(normals), pairs(defects), [(pairs(o.normals), pairs(o.defectives)) for o in left_out]
    )
    assert report.discount == discount
    assert report.unseen == pytest.approx(unseen[discount])
    assert report.unseen_without == pytest.approx(unseen[math.inf])
    assert report.unseen_undiscounted == pytest.approx(unseen[0.0])
    assert report.seen == pytest.approx(seen[discount])
    assert report.seen_without == pytest.approx(seen[math.inf])


def test_of_two_safe_discounts_recall_on_seen_kinds_decides():
    """Left-out kinds are found by the first channel, whatever the discount."""
    normals = ChannelMaxima(np.linspace(0, 3, 100), np.linspace(0, 3, 100))
    found = ChannelMaxima(np.full(10, 9.0), np.zeros(10))
    only_known = ChannelMaxima(np.zeros(10), np.full(10, 6.0))
    # Many normal images resemble known defects, but less so than the defects themselves.
    report = choose_discount(normals, only_known, [LeftOutCluster(normals, found)])
    assert (report.discount, report.seen, report.seen_without) == (0.0, 1.0, 0.0)
    marked = ChannelMaxima(np.full(100, 1.0), np.linspace(0, 3, 100))
    near = ChannelMaxima(np.full(10, 2.0), np.full(10, 2.0))  # the second channel hides them
    report = choose_discount(marked, near, [LeftOutCluster(marked, found)])
    assert report.discount == 2.0
    assert report.seen == 1.0


@pytest.mark.parametrize(("losing", "discount"), [(20, 4.0), (8, 4.0), (1, 0.0)])
def test_a_discount_that_costs_recall_on_unseen_kinds_is_not_taken_for_any_gain_on_seen_ones(
    losing, discount
):
    """Two of 100 normal images resemble defects, and so hide defects of a kind that was left out.

    Each of the `losing` of its 20 images loses a recall of 0.2 below a discount of 4. A mean loss
    of 0.08 is beyond its standard error of 0.02, though not beyond the standard deviation of 0.1;
    one of 0.01 is tolerated.
    """
    normals = ChannelMaxima(np.zeros(100), np.repeat([0.0, 5.0], [98, 2]))
    members = ChannelMaxima(np.repeat([3.0, 9.0], [losing, 20 - losing]), np.zeros(20))
    seen = ChannelMaxima(np.zeros(10), np.full(10, 4.0))  # only with less than 4 they are found
    quiet = ChannelMaxima(np.zeros(100), np.zeros(100))
    report = choose_discount(quiet, seen, [LeftOutCluster(normals, members)])
    assert report.discount == discount
    assert report.seen == (discount < 4)


def test_the_probe_is_that_of_the_loops():
    """Both classes weigh the same, and all defective images, however many patches they have."""
    rng = np.random.default_rng(4)
    normal = rng.standard_normal((60, 4)).astype(np.float32) + 3
    defects = [
        (rng.standard_normal((n, 4)) + shift).astype(np.float32)
        for n, shift in ((2, [6, 3, 3, 3]), (25, [3, 2, 4, 3]))
    ]
    whitening = fit_whitening(normal)
    probe = fit_probe(whitening, normal, defects)
    rows = [whitening(one) for one in (*defects, normal)]
    row_weights = [0.25 / len(one) for one in defects for _ in one] + [0.5 / 60] * 60
    labels = [True] * 27 + [False] * 60
    beta, intercept = slow.logistic(
        np.concatenate(rows), labels, row_weights, 0.3, np.zeros(4), False
    )
    asked = rng.standard_normal((10, 4)).astype(np.float32) + 3
    np.testing.assert_allclose(probe(asked), whitening(asked) @ beta + intercept, atol=2e-3)
