"""About how long the trials that are left take, judged by the first ones."""

from collections.abc import Sequence


def seconds_left(done: Sequence[tuple[int, float]], left: Sequence[Sequence[int]]) -> float | None:
    """Seconds that the trials left take; None where that cannot be judged yet.

    The first trial on a split also builds what all trials on that split share, so the second
    tells how long a trial alone takes. Where splits have one trial, each takes as long as the
    first.

    >>> seconds_left([(4, 60.0)], [[], [4], [4]])
    120.0
    >>> seconds_left([(2, 50.0)], [[2, 2], [2, 2, 2]]) is None
    True
    >>> seconds_left([(2, 50.0), (2, 10.0)], [[2], [2, 2, 2]])  # 10, and 40 + 30
    80.0

    Args:
        done: number of methods and seconds of each trial that was run, in order, all of one split.
        left: for that split, then for each of the others, the number of methods of each trial
            that has to be run.
    """
    (methods, seconds), *others = done
    if not others:
        if left[0]:
            return None
        return float(sum(seconds * sum(split) / methods for split in left))
    each = sum(time for _, time in others) / sum(count for count, _ in others)
    shared = max(0.0, seconds - each * methods)
    splits = sum(1 for split in left[1:] if split)
    return float(shared * splits + each * sum(map(sum, left)))
