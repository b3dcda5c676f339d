"""Tells an image of something else, or of nothing, from a part with a defect.

A defect takes up some patches of an image; on another product, or under a covered lens, most
patches are far from the normal bank. So the median patch decides, in logarithms, since distances
vary by factors.
"""

import math

import numpy as np

from patchcore_dual.scoring.evidence import Nearest, TrainingEvidence

FOREIGN = "not like the parts this model was fitted on"

LEAST_MARGIN = math.log(1.2)  # where normal images hardly vary, new ones still do a little
LEAST_IMAGES = 10  # fewer do not show how much normal images vary


def greatest_distance(evidence: TrainingEvidence) -> float | None:
    """The median log distance to the normal bank above which an image is foreign.

    It is above that of every held-out training image, normal or defective, by the range of the
    normal ones, and by a factor of at least 1.2. None with fewer than ten normal images.
    """
    if len(evidence.normals) < LEAST_IMAGES:
        return None
    normal = [_median_log(one.evidence.normal) for one in evidence.normals]
    defective = [_median_log(one.evidence.normal) for one in evidence.defectives]
    return max(normal + defective) + max(max(normal) - min(normal), LEAST_MARGIN)


def is_foreign(normal: Nearest, greatest: float | None) -> bool:
    """Whether an image is not like the parts that the normal bank was built from.

    Args:
        normal: the result of searching the normal bank.
        greatest: what `greatest_distance` gave; None calls nothing foreign.

    >>> near, far = (Nearest(np.full((4, 4), d), np.zeros((4, 4), int)) for d in (2.0, 9.0))
    >>> is_foreign(near, 0.9), is_foreign(far, 0.9), is_foreign(far, None)
    (False, True, False)
    """
    return greatest is not None and _median_log(normal) > greatest


def _median_log(normal: Nearest) -> float:
    return math.log(max(float(np.nanmedian(normal.distance)), 1e-30))
