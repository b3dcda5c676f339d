"""The recommended rule and its guard, on evidence made to order."""

import numpy as np
import pytest

from patchcore_dual.scoring import Evidence, HeldOutImage, Nearest, TrainingEvidence
from patchcore_dual.scoring.fusion.calibrated import Calibrated, Scale
from patchcore_dual.scoring.fusion.guard import (
    ChannelMaxima,
    LeftOutCluster,
    choose_discount,
    mean_recall,
)

H, W = 6, 8
CELL = (2, 3)


def nearest(values):
    values = np.asarray(values, np.float32)
    return Nearest(values, np.zeros(values.shape, np.int64))


class Factory:
    """Patches with d_N, d_P and log odds about 1, 1 and 0, and more at one cell."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    def evidence(self, far=0.0, like=0.0, anywhere=False):
        """`far`: log d_N at the cell; `like`: how much more it looks like a defect."""
        cell = tuple(self.rng.integers((H, W))) if anywhere else CELL
        log_n, log_p = 0.1 * self.rng.standard_normal((2, H, W))
        odds = self.rng.standard_normal((H, W))
        log_n[cell] += far
        log_p[cell] -= like
        odds[cell] += 10 * like
        return Evidence(nearest(np.exp(log_n)), nearest(np.exp(log_p)), odds.astype(np.float32))

    def image(self, fold, far=0.0, like=0.0, cluster=None, unseen_like=0.0, clusters=()):
        cells = None
        if cluster is not None:
            cells = np.zeros((H, W), bool)
            cells[CELL] = True
            clusters = (cluster,)
        unseen = {c: self.evidence(far, unseen_like) for c in clusters}
        return HeldOutImage(self.evidence(far, like), fold, 8 * W, 8 * H, cells, unseen)

    def marked(self, fold, clusters):
        """A good image with a harmless mark that looks like a defect, whichever were seen."""
        unseen = {c: self.evidence(like=1.5, anywhere=True) for c in clusters}
        evidence = self.evidence(like=1.5, anywhere=True)
        return HeldOutImage(evidence, fold, 8 * W, 8 * H, unseen=unseen)


def training(factory, *, far, like, unseen_like, marked=0, clusters=(0, 1), normals=100):
    """Good images, `marked` of them with harmless marks, and ten defects a cluster."""
    good = [
        factory.marked(i % 5, clusters) if i < marked else factory.image(i % 5, clusters=clusters)
        for i in range(normals)
    ]
    bad = [
        factory.image(i % 5, far, like, cluster=c, unseen_like=unseen_like)
        for c in clusters
        for i in range(10)
    ]
    return TrainingEvidence(tuple(good), tuple(bad))


def test_the_guard_keeps_a_bank_that_helps():
    # What one kind teaches holds for the other too, and distance from normal says little.
    rule = Calibrated().fit(training(Factory(), far=0.1, like=1.0, unseen_like=1.0))
    assert rule.guard is not None
    assert rule.guard.unseen > rule.guard.unseen_without + 0.3
    assert rule.guard.seen > rule.guard.seen_without + 0.3
    assert rule.discount == 0
    assert "used in full" in str(rule.guard)


def test_the_guard_takes_down_a_bank_that_hurts():
    # Some good parts bear marks that look like defects; a kind that was left out does not.
    hurting = training(Factory(), far=0.5, like=2.5, unseen_like=0.0, marked=8)
    rule = Calibrated().fit(hurting)
    assert rule.guard is not None
    assert rule.guard.unseen_undiscounted < rule.guard.unseen_without - 0.1
    assert rule.discount >= 1
    assert rule.guard.unseen > rule.guard.unseen_without - 0.05
    assert "discounted" in str(rule.guard) or "switched off" in str(rule.guard)


def test_a_patch_far_from_everything_stays_an_alarm():
    rule = Calibrated().fit(training(Factory(), far=0.5, like=1.0, unseen_like=1.0))
    plain, _ = rule(Factory(1).evidence())
    strange, grid = rule(Factory(1).evidence(far=2.0, like=-2.0))
    assert strange > plain + 3
    assert np.unravel_index(grid.argmax(), grid.shape) == CELL


def test_one_defect_that_no_fold_can_teach_gives_equal_weights():
    factory = Factory()
    one = factory.image(0, 0.5, 1.0, cluster=0)
    alone = HeldOutImage(one.evidence, 0, one.width, one.height, one.defect_cells, {}, False)
    good = tuple(factory.image(i % 5) for i in range(40))
    rule = Calibrated().fit(TrainingEvidence(good, (alone,)))
    assert rule.weights == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert rule.guard is None
    assert rule(Factory(3).evidence(like=1.5))[0] > rule(Factory(3).evidence())[0] + 2


def test_weights_follow_the_evidence_that_tells():
    rule = Calibrated().fit(training(Factory(), far=0.0, like=1.5, unseen_like=1.5))
    assert all(w >= 0 for w in rule.weights)
    assert sum(rule.weights) == pytest.approx(1)
    assert rule.weights[0] < min(rule.weights[1:])  # d_N told nothing


def test_without_defects_only_the_unfamiliar_counts():
    normals = tuple(
        HeldOutImage(Evidence(Factory(i).evidence().normal), i % 5, 8 * W, 8 * H) for i in range(30)
    )
    rule = Calibrated().fit(TrainingEvidence(normals))
    assert rule.weights == ()
    near, far = (Evidence(Factory(50).evidence(far=x).normal) for x in (0.0, 1.0))
    assert rule(far)[0] > rule(near)[0] + 2


def test_held_out_answers_do_not_see_their_own_fold():
    factory = Factory()
    odd = factory.evidence(far=3.0)  # one good image alone in its fold, with an odd place
    normals = [HeldOutImage(odd, 9, 8 * W, 8 * H)]
    normals += [HeldOutImage(factory.evidence(), i % 4, 8 * W, 8 * H) for i in range(11)]
    learned_from = TrainingEvidence(tuple(normals))
    rule = Calibrated().fit(learned_from)
    assert rule.held_out(learned_from, learned_from.normals)[0][0] > rule(odd)[0] + 1


def test_state_survives_json():
    import json

    fitted = Calibrated().fit(training(Factory(), far=0.5, like=1.0, unseen_like=1.0))
    constants, arrays = fitted.state()
    again = Calibrated.from_state(json.loads(json.dumps(constants)), arrays)
    evidence = Factory(5).evidence(like=0.7)
    assert again(evidence)[0] == fitted(evidence)[0]
    assert again.guard == fitted.guard


def test_scale_puts_the_median_at_zero_and_the_mean_excess_at_one():
    maxima = np.random.default_rng(0).exponential(2.0, 4001) + 5
    scale = Scale.of([np.array([m]) for m in maxima])
    scaled = scale(maxima)
    assert abs(np.median(scaled)) < 1e-4
    assert abs(scaled[scaled >= 0].mean() - 1) < 1e-3


def test_mean_recall_is_recall_averaged_over_false_alarm_rates():
    rng = np.random.default_rng(0)
    normals, defectives = rng.standard_normal(200), rng.standard_normal(50) + 2
    rates = np.linspace(0, 0.1, 20_001)[1:]
    for value, score in zip(mean_recall(defectives, normals), defectives, strict=True):
        reached = (normals >= score).mean()
        assert value == pytest.approx((reached < rates).mean(), abs=1e-3)


def test_the_guard_needs_something_to_leave_out():
    one = ChannelMaxima(np.zeros(3), np.zeros(3))
    assert choose_discount(one, one, []) is None


def test_a_safe_discount_costs_unseen_kinds_nothing_beyond_tolerance():
    rng = np.random.default_rng(0)
    normals = ChannelMaxima(rng.exponential(size=300), rng.exponential(size=300) * 4)
    defects = ChannelMaxima(rng.exponential(size=60) + 3, rng.exponential(size=60))
    report = choose_discount(normals, defects, [LeftOutCluster(normals, defects)])
    assert report is not None
    assert report.discount > 0
    assert report.unseen_undiscounted < report.unseen
