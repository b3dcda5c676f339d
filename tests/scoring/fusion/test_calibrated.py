"""The recommended rule: against loops on random evidence, and on evidence constructed by hand."""

from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.scoring import Evidence, HeldOutImage, Nearest, TrainingEvidence
from patchcore_dual.scoring.fusion.calibrated import Calibrated
from patchcore_dual.scoring.tail import Scale
from reference import scores as slow

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
        """A normal image with a harmless mark that resembles a defect of every cluster."""
        unseen = {c: self.evidence(like=1.5, anywhere=True) for c in clusters}
        evidence = self.evidence(like=1.5, anywhere=True)
        return HeldOutImage(evidence, fold, 8 * W, 8 * H, unseen=unseen)


def training(factory, *, far, like, unseen_like, marked=0, clusters=(0, 1), normals=100):
    """Good images, `marked` of them with harmless marks, and ten defects a cluster."""
    normal = [
        factory.marked(i % 5, clusters) if i < marked else factory.image(i % 5, clusters=clusters)
        for i in range(normals)
    ]
    defective = [
        factory.image(i % 5, far, like, cluster=c, unseen_like=unseen_like)
        for c in clusters
        for i in range(10)
    ]
    return TrainingEvidence(tuple(normal), tuple(defective))


@pytest.fixture(scope="module")
def random_training():
    """24 normal images in four folds and 8 defective ones, of d_N, d_P and log odds at random.

    They vary in level and spread from cell to cell, so that position statistics matter.
    """
    rng = np.random.default_rng(0)
    level, spread = rng.standard_normal((2, 3, H, W))

    def evidence(at_cell):
        values = level + (0.2 + spread**2) * rng.standard_normal((3, H, W))
        values[(slice(None), *CELL)] += at_cell
        d_n, d_p, logit = np.exp(values[0]), np.exp(values[1]), values[2].astype(np.float32)
        return Evidence(nearest(d_n), nearest(d_p), logit)

    cells = np.zeros((H, W), bool)
    cells[CELL] = True
    normals = [HeldOutImage(evidence([0, 0, 0]), i % 4, 8 * W, 8 * H) for i in range(24)]
    defectives = [
        HeldOutImage(evidence([1, -2, 3]), i % 4, 8 * W, 8 * H, defect_cells=cells)
        for i in range(8)
    ]
    return TrainingEvidence(tuple(normals), tuple(defectives))


def as_lists(image):
    """A held-out image as the reference takes it."""
    evidence = image.evidence
    grids = {"normal": evidence.normal.distance, "defect": evidence.defect.distance}
    grids["logit"] = evidence.logit
    lists = {name: grid.astype(float).tolist() for name, grid in grids.items()}
    return {**lists, "fold": image.fold}


@pytest.mark.parametrize("discount", [0.0, 0.5, 2.0, float("inf")])
def test_the_fitted_rule_is_its_formula(random_training, discount):
    """All constants but weights and discount are estimated again, in loops."""
    rule = replace(Calibrated().fit(random_training), discount=discount)
    assert min(rule.weights) > 0.05  # each indicator counts
    normals = [as_lists(image) for image in random_training.normals]
    score_new, score_out_of_fold = slow.calibrated(normals, rule.weights, discount)
    images = [*random_training.defectives, *random_training.normals[:3]]
    for image, held_out in zip(images, rule.held_out(random_training, images), strict=True):
        for output, expected in (
            (rule(image.evidence), score_new(as_lists(image))),
            (held_out, score_out_of_fold(as_lists(image))),
        ):
            assert output.score == pytest.approx(expected[0], rel=1e-4)
            np.testing.assert_allclose(output.grid, expected[1], rtol=1e-3, atol=1e-4)


def test_the_guard_keeps_a_bank_that_helps():
    # Both kinds resemble each other, and the distance from the normal bank shows neither.
    rule = Calibrated().fit(training(Factory(), far=0.1, like=1.0, unseen_like=1.0))
    assert rule.guard is not None
    assert rule.guard.unseen > rule.guard.unseen_without + 0.3
    assert rule.guard.seen > rule.guard.seen_without + 0.3
    assert rule.discount == 0
    assert "used in full" in str(rule.guard)


def test_the_guard_discounts_a_bank_that_hurts():
    # Some normal images have marks that resemble defects; a left-out kind resembles none.
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


def test_a_single_defect_gives_equal_weights():
    factory = Factory()
    one = factory.image(0, 0.5, 1.0, cluster=0)
    alone = HeldOutImage(one.evidence, 0, one.width, one.height, one.defect_cells, {}, False)
    normals = tuple(factory.image(i % 5) for i in range(40))
    rule = Calibrated().fit(TrainingEvidence(normals, (alone,)))
    assert rule.weights == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert rule.guard is None
    assert rule(Factory(3).evidence(like=1.5))[0] > rule(Factory(3).evidence())[0] + 2


def test_weights_follow_the_indicators_that_separate():
    rule = Calibrated().fit(training(Factory(), far=0.0, like=1.5, unseen_like=1.5))
    assert all(w >= 0 for w in rule.weights)
    assert sum(rule.weights) == pytest.approx(1)
    assert rule.weights[0] < min(rule.weights[1:])  # d_N does not separate


def test_without_defects_only_the_unfamiliar_channel_is_used():
    normals = tuple(
        HeldOutImage(Evidence(Factory(i).evidence().normal), i % 5, 8 * W, 8 * H) for i in range(30)
    )
    rule = Calibrated().fit(TrainingEvidence(normals))
    assert rule.weights == ()
    near, far = (Evidence(Factory(50).evidence(far=x).normal) for x in (0.0, 1.0))
    assert rule(far)[0] > rule(near)[0] + 2


def test_held_out_outputs_are_out_of_fold():
    factory = Factory()
    odd = factory.evidence(far=3.0)  # alone in its fold, with one unusual cell
    normals = [HeldOutImage(odd, 9, 8 * W, 8 * H)]
    normals += [HeldOutImage(factory.evidence(), i % 4, 8 * W, 8 * H) for i in range(11)]
    evidence = TrainingEvidence(tuple(normals))
    rule = Calibrated().fit(evidence)
    assert rule.held_out(evidence, evidence.normals)[0][0] > rule(odd)[0] + 1


def test_state_survives_json():
    import json

    fitted = Calibrated().fit(training(Factory(), far=0.5, like=1.0, unseen_like=1.0))
    constants, arrays = fitted.state()
    names = {"epsilon", "weights", "unfamiliar", "known", "discount", "guard"}
    assert set(constants) == names  # those of saved models
    assert set(arrays) == {f"{name}_{i}" for name in ("mean", "deviation") for i in range(3)}
    again = Calibrated.from_state(json.loads(json.dumps(constants)), arrays)
    evidence = Factory(5).evidence(like=0.7)
    assert again(evidence)[0] == fitted(evidence)[0]
    assert again.guard == fitted.guard


def test_scale_makes_each_unit_e_times_rarer_whatever_the_tail():
    rng = np.random.default_rng(0)
    for maxima in (rng.exponential(2.0, 4001) + 5, 3 * rng.pareto(2.5, 4001) - 1):
        scaled = Scale.of([np.array([m]) for m in maxima])(maxima)
        assert abs(np.median(scaled)) < 1e-4
        for units in (1, 2, 3):
            share = np.mean(scaled > units) / np.mean(scaled > 0)
            assert abs(np.log(share) + units) < 0.15


def test_a_few_far_normal_images_give_a_heavy_tail_and_count_less():
    maxima = np.concatenate([np.random.default_rng(0).exponential(1.0, 95), [8, 9, 10, 11, 12]])
    scale = Scale.of([np.array([m]) for m in maxima])
    assert scale.shape > 0.1
    assert scale(np.array([12.0]))[0] < 0.7 * (12 - scale.location) / scale.spread


def test_maxima_that_are_mostly_equal_have_a_spread_of_the_size_of_the_others():
    scale = Scale.of([np.array([m]) for m in (1.0,) * 16 + (2.0, 2.5, 3.0, 4.0)])
    assert scale.spread > 0.05


def test_a_channel_that_is_the_same_everywhere_has_a_scale():
    scale = Scale.of([np.array([3.0])] * 5)
    assert scale(np.array([3.0]))[0] == 0
    assert np.isfinite(scale(np.array([4.0]))).all()
