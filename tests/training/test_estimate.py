"""What fitting says beforehand of its time."""

from patchcore_dual.training.estimate import Estimate, estimate


def test_as_it_is_told():
    assert str(Estimate(300, 120, 20)) == (
        "Fitting takes about 7 min: features 5 min, coresets 2 min, scoring held-out images 20 s."
    )


def test_more_takes_longer():
    small = estimate(100, 100_000, 384, 1000, 6, 0.1)
    large = estimate(1000, 4_000_000, 384, 40_000, 6, 0.1)
    assert small.features < large.features
    assert small.coreset < large.coreset
    assert small.scoring < large.scoring
    assert estimate(100, 100_000, 384, 1000, 1, 0.1).scoring == 0
    again = estimate(100, 100_000, 384, 1000, 6, 0.1, embedded=3)
    assert again.features == 3 * small.features
