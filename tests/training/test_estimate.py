"""What fitting says beforehand of its time."""

from patchcore_dual.training.estimate import Estimate, estimate

SMALL = {"images": 100, "patches": 100_000, "width": 384, "chosen": 1000, "seconds": 0.1}


def test_in_words():
    assert str(Estimate(300, 120, 20)) == (
        "Fitting takes about 7 min: features 5 min, coresets 2 min, scoring held-out images 20 s."
    )


def test_more_takes_longer():
    small = estimate(**SMALL, banks=6)
    more = {"images": 1000, "patches": 4_000_000, "chosen": 40_000}
    large = estimate(**{**SMALL, **more}, banks=6)
    assert small.features < large.features
    assert small.coreset < large.coreset
    assert small.scoring < large.scoring
    assert estimate(**SMALL, banks=1).scoring == 0
    assert estimate(**SMALL, banks=6, embedded=3).features == 3 * small.features
