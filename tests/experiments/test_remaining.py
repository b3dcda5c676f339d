"""How long the trials that are left take, by the first ones."""

import pytest

from patchcore_dual.experiments.remaining import seconds_left


@pytest.mark.parametrize("shared", [0.0, 100.0])
@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("counts", [[4], [2, 2], [1, 3, 2]])
def test_it_is_what_trials_of_constant_speed_take(shared, splits, counts):
    each, done, left = 5.0, [], [list(counts) for _ in range(splits)]
    said = None
    while left[0] and said is None:
        methods = left[0].pop(0)
        done.append((methods, each * methods + (0 if done else shared)))
        said = seconds_left(done, left)
    expected = each * sum(map(sum, left)) + shared * (splits - 1)
    assert said == pytest.approx(expected)
    assert len(done) <= 2


def test_a_first_trial_that_is_faster_than_the_second_gives_no_negative_share():
    assert seconds_left([(2, 1.0), (2, 10.0)], [[], [2, 2]]) == pytest.approx(20)
