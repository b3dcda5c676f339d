"""AIAG's worked example of an attribute study: 50 parts, appraisers A, B and C, three trials.

The manual (Measurement Systems Analysis, 4th edition, III-C) prints cross tables of how often two
appraisers, or one and the reference, gave which verdicts. `verdicts()` is an arrangement of the
450 verdicts that has all of these tables, and the manual's counts of parts; it is not the manual's
own list of them.
"""

import numpy as np

# Rejected by both, by the first alone, by the second alone, accepted by both.
CROSS_TABLES = {
    ("A", "B"): (44, 6, 3, 97),
    ("B", "C"): (42, 5, 9, 94),
    ("A", "C"): (43, 7, 8, 92),
    ("A", "reference"): (45, 5, 3, 97),
    ("B", "reference"): (45, 2, 3, 100),
    ("C", "reference"): (42, 9, 6, 93),
}
KAPPAS = {
    ("A", "B"): 0.86,
    ("B", "C"): 0.79,
    ("A", "C"): 0.78,
    ("A", "reference"): 0.88,
    ("B", "reference"): 0.92,
    ("C", "reference"): 0.77,
}
# Parts judged right in all trials, of 50; the interval as the manual rounds it, in percent.
EFFECTIVE = {"A": (42, 71, 93), "B": (45, 78, 97), "C": (40, 66, 90)}
ALL_EFFECTIVE = 39
MISS_RATES = {"A": 6.3, "B": 6.3, "C": 12.5}  # of 48 trials of 16 defective parts
FALSE_ALARM_RATES = {"A": 4.9, "B": 2.0, "C": 8.8}  # of 102 trials of 34 good parts
N_DEFECTIVE, N_GOOD, N_TRIALS = 16, 34, 3

# Part and trial of each wrong verdict, defective parts being 0 to 15, good ones 16 to 49.
_WRONG = {
    "A": ((0, 0), (1, 0), (2, 0), (16, 0), (17, 0), (18, 0), (19, 0), (22, 0)),
    "B": ((0, 0), (1, 2), (2, 1), (16, 0), (17, 1)),
    "C": (
        *((0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (3, 0)),
        *((16, 0), (16, 1), (17, 1), (17, 2), (18, 0), (18, 1), (19, 1), (20, 0), (21, 0)),
    ),
}


def verdicts():
    """1 for rejected, int `[3, 50, 3]` by appraiser, part and trial; and the reference `[50]`."""
    reference = np.array([1] * N_DEFECTIVE + [0] * N_GOOD)
    said = np.tile(reference[None, :, None], (3, 1, N_TRIALS))
    for appraiser, wrong in enumerate(_WRONG.values()):
        for part, trial in wrong:
            said[appraiser, part, trial] = 1 - reference[part]
    return said, reference
