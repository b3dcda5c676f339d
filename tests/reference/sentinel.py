"""The capital of the sentinel's bets, image by image from the definition."""

import random

import numpy as np

POWERS, FORGOTTEN, DEFECTS = (2, 4, 8), 0.02, 0.1


def p_values(reference, stream, n, seed):
    """Of the image `n` of a stream, upwards and downwards, by statistic."""
    draw = random.Random(f"{seed} {n + 1}").random
    known = reference.values[~reference.is_taught]
    found = []
    for i in range(known.shape[1]):
        both = []
        for sign, tolerance in ((1, reference.tolerance[i, 0]), (-1, reference.tolerance[i, 1])):
            # All images of the stream are taken to be as far off as is tolerated.
            shifted = [round(sign * x - tolerance, 9) for x in stream[: n + 1, i]]
            every = [round(sign * x, 9) for x in known[:, i]] + shifted
            more, same = (
                sum(f(x) for x in every) for f in (shifted[-1].__lt__, shifted[-1].__eq__)
            )
            both.append((more + draw() * same) / len(every))
        found.append(both)
    return found


def capital_of(reference, stream, seed):
    """What betting on the stream has made of 1, in its first epoch."""
    ranks = [p_values(reference, stream, n, seed) for n in range(len(stream))]
    capitals = []
    for i in range(stream.shape[1]):
        for direction in (0, 1) if i > 1 else (0,):
            bets = dict.fromkeys(POWERS, 0.0)
            for n, of_image in enumerate(ranks, 1):
                p = of_image[i][direction]
                bets = {m: bet + 1 / (n * (n + 1)) / len(POWERS) for m, bet in bets.items()}
                mean = sum(bets.values()) / len(POWERS)
                for m in POWERS:
                    bet = (1 - FORGOTTEN) * bets[m] + FORGOTTEN * mean
                    fair = 1 - DEFECTS + DEFECTS * m
                    bets[m] = bet * m * (1 - p) ** (m - 1) / fair
            capitals.append(sum(bets.values()) + 1 / (len(ranks) + 1))
    return np.mean(capitals)
