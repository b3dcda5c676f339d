"""Evidence in blocks is that of all features at once."""

import numpy as np
import pytest

from patchcore_dual.banks import MemoryBank
from patchcore_dual.scoring import Probe, gather_evidence, rule_for, score_uncertainty
from patchcore_dual.scoring.blocks import gather_in_blocks

RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((9, 14, 8)).astype(np.float32)


class InBlocks:
    """An array, of which some blocks may be left out."""

    shape = FEATURES.shape

    def __init__(self, wanted=None):
        self.wanted = wanted

    def blocks(self):
        for rows in (slice(0, 4), slice(4, 9)):
            for columns in (slice(0, 6), slice(6, 14)):
                if self.wanted is None or self.wanted[rows, columns].any():
                    yield (rows, columns), FEATURES[rows, columns]

    def __getitem__(self, window):
        return FEATURES[window]


def bank(n, seed):
    vectors = np.random.default_rng(seed).standard_normal((n, 8)).astype(np.float32)
    image = np.arange(n, dtype=np.int32) % 3
    return MemoryBank(vectors, image, np.zeros((n, 2), np.int32), ("a", "b", "c"))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("defect", [None, bank(30, 2)])
@pytest.mark.parametrize("size", [40, 1200])
def test_it_is_that_of_all_at_once(weighted, defect, size):
    normal, probe = bank(size, 1), Probe(np.ones(8, np.float32), 0.5)
    expected = gather_evidence(FEATURES, normal, defect, probe, weighted)
    found = gather_in_blocks(InBlocks(), normal, defect, probe, weighted)
    pairs = [(found.normal, expected.normal)]
    if defect is not None:
        pairs.append((found.defect, expected.defect))
        np.testing.assert_allclose(found.logit, expected.logit, rtol=1e-5, atol=1e-5)
    else:
        assert found.defect is None
        assert found.logit is None
    for one, other in pairs:
        np.testing.assert_allclose(one.distance, other.distance, rtol=1e-5)
        np.testing.assert_array_equal(one.index, other.index)
        assert one.weight == pytest.approx(other.weight, rel=1e-5)


def test_cells_that_are_not_wanted_have_no_evidence():
    wanted = np.zeros(FEATURES.shape[:2], bool)
    wanted[1:3, 2:8] = True
    banks, probe = (bank(40, 1), bank(30, 2)), Probe(np.ones(8, np.float32), 0.5)
    found = gather_in_blocks(InBlocks(wanted), *banks, probe, True)
    expected = gather_evidence(FEATURES, *banks, probe)
    for one, other in (
        (found.normal.distance, expected.normal.distance),
        (found.defect.distance, expected.defect.distance),
        (found.logit, expected.logit),
    ):
        assert np.isnan(one[~wanted]).all()
        np.testing.assert_allclose(one[wanted], other[wanted], rtol=1e-5)
    alone = np.where(wanted, expected.normal.distance, 0)
    assert found.normal.distance[wanted].max() == pytest.approx(alone.max())


def test_the_uncertainty_takes_features_in_blocks():
    normal, defect = bank(40, 1), bank(30, 2)
    rule = rule_for("ratio", has_defects=True)()
    evidence = gather_evidence(FEATURES, normal, defect)
    peak = rule(evidence).peak
    both = [
        score_uncertainty(rule, evidence, features, normal, defect, peak=peak)
        for features in (FEATURES, InBlocks())
    ]
    assert both[0] == both[1] > 0
