"""Good training images that are probably defective, by out-of-fold evidence on the training images.

The highest log odds of an image, standardised by position, say how much it looks like the known
defects. On good images they are the largest of many patch values and follow a generalised extreme
value distribution, on mislabelled images those of the held-out defective ones. The mixture of both
that explains the good images best gives each image's probability by Bayes' rule.

Good parts may bear harmless marks that look like a defect, such as oil beside stains, and nothing
but a person can tell these from mislabelled images one by one. Together they differ: marks of every
strength make the tail heavy, mislabelled images make a hump where the defects are. Images are
therefore set aside only where the mixture explains all of them far better than a heavy tail alone.

Distances to the normal bank would not do: two mislabelled images that show the same sort of defect
are in each other's banks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from patchcore_dual.model import CalibrationSet
from patchcore_dual.scoring import HeldOutImage, TrainingEvidence
from patchcore_dual.scoring.fusion.position import position_statistics

SET_ASIDE_FROM = 0.9  # probability of being mislabelled
CLEAR_EVIDENCE = 3.0  # gain in log likelihood by the mixture: 20 to 1
LEAST_NORMALS, LEAST_DEFECTIVES = 10, 3  # fewer say too little of how each class is distributed

_HEAVIEST = 0.5  # shape of the good images' tail: from here on its variance is infinite
_NARROWEST = 1e-6  # least scale of the good images, in parts of their standard deviation
_LARGEST_SHARE = 0.3  # of mislabelled images
_PRIOR = 10.0  # of shape and of share: each 0.1 must gain 1 in log likelihood


def likely_mislabelled(calibration: CalibrationSet) -> tuple[str, ...]:
    """The names of good training images that are probably defective, the most probable first.

    Empty with fewer than `LEAST_NORMALS` good images, with fewer than `LEAST_DEFECTIVES` held-out
    defective ones (a rule without a probe has none), and where a heavy tail explains the good
    images nearly as well.
    """
    evidence = calibration.evidence
    known = [image for image in evidence.defectives if image.is_known]
    if len(evidence.normals) < LEAST_NORMALS or len(known) < LEAST_DEFECTIVES:
        return ()
    found = mislabelled(_likeness(evidence, evidence.normals), _likeness(evidence, known))
    if found.gain < CLEAR_EVIDENCE:
        return ()
    order = np.argsort(-found.probability, kind="stable")
    return tuple(calibration.normals[i] for i in order if found.probability[i] >= SET_ASIDE_FROM)


class Mislabelled(NamedTuple):
    """How probable it is that good images are mislabelled.

    Attributes:
        probability: float64 `[n]`, that each good image is mislabelled, given that some are.
        gain: by how much the assumption that some are raises the log likelihood of the good images,
            the priors of shape and share included.
    """

    probability: np.ndarray
    gain: float


def mislabelled(normal: np.ndarray, defective: np.ndarray) -> Mislabelled:
    """Compare two explanations: a heavy tail of good images, and mislabelled ones among them.

    Where all values of either kind are equal, nothing can be told: all probabilities are 0.

    Args:
        normal: float64 `[n]`, how much each held-out good image looks like the known defects.
        defective: float64 `[k]`, the same of the held-out defective images.

    >>> rng = np.random.default_rng(0)
    >>> good, defective = rng.gumbel(2, 1, 60), rng.normal(14, 2, 20)
    >>> bool(mislabelled(good, defective).gain < 1)
    True
    >>> found = mislabelled(np.append(good, [13.0, 16.0]), defective)
    >>> bool(found.gain > 3), np.flatnonzero(found.probability > 0.9).tolist()
    (True, [60, 61])
    """
    from scipy.optimize import minimize  # here, since inspection would wait for it

    if not np.std(defective) or not np.std(normal):
        return Mislabelled(np.zeros(len(normal)), 0.0)
    of_defective = _density(defective, normal)

    def parts(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The densities of good and of mislabelled images, each with its share."""
        location, log_scale, shape, share = parameters
        good = extreme_value_density(normal, location, float(np.exp(log_scale)), shape)
        return (1 - share) * good, share * np.where(normal > location, of_defective, 0)

    def loss(parameters: np.ndarray) -> float:
        likelihood = np.log(np.maximum(sum(parts(parameters)), 1e-300)).sum()
        return float(_PRIOR * parameters[2:].sum() - likelihood)

    def best(largest_share: float) -> tuple[float, np.ndarray]:
        """The least loss with at most so large a share of mislabelled images."""
        narrowest = np.log(_NARROWEST * np.std(normal))  # equal values would fit a scale of 0
        limits = [(None, None), (narrowest, None), (0, _HEAVIEST), (0, largest_share)]
        spread = np.std(normal[normal <= np.quantile(normal, 0.8)]) or np.std(normal)
        start = [np.median(normal) - 0.2 * spread, np.log(spread)]
        fits = [
            minimize(loss, [*start, shape, share], method="Nelder-Mead", bounds=limits)
            for shape in (0.02, 0.2)
            for share in {min(largest_share, 0.02), largest_share / 2}
        ]
        return min(((one.fun, one.x) for one in fits), key=lambda pair: pair[0])

    heavy_tail, _ = best(0)
    mixture, parameters = best(_LARGEST_SHARE)
    good, wrong = parts(parameters)
    return Mislabelled(wrong / np.maximum(good + wrong, 1e-300), float(heavy_tail - mixture))


def extreme_value_density(
    at: np.ndarray, location: float, scale: float, shape: float
) -> np.ndarray:
    """Density of the generalised extreme value distribution, of no shape below 0.

    >>> extreme_value_density(np.array([-3.0, 0.0, 1.0]), 0.0, 1.0, 0.5).round(4).tolist()
    [0.0, 0.3679, 0.19]
    """
    z = (at - location) / scale
    inside = 1 + shape * z > 0
    z = np.where(inside, z, 0)
    z = np.log1p(shape * z) / shape if shape else z
    z = np.maximum(z, -700)  # below it the density is 0, and exp overflows
    density: np.ndarray = np.where(inside, np.exp(-(1 + shape) * z - np.exp(-z)) / scale, 0)
    return density


def _density(sample: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Gaussian kernel density of a sample at some values.

    Above the median of the sample it stays as high as there: what looks even more like a defect
    than most defects do is no less likely to be one.
    """
    width = np.std(sample, ddof=1) * len(sample) ** -0.2
    u = (np.minimum(at, np.median(sample))[:, None] - sample) / width
    density: np.ndarray = np.exp(-(u**2) / 2).mean(axis=1) / (width * np.sqrt(2 * np.pi))
    return density


def _likeness(evidence: TrainingEvidence, images: Sequence[HeldOutImage]) -> np.ndarray:
    """The highest log odds of each image, standardised by the good images of other folds."""
    statistics = {}
    for fold in {image.fold for image in images}:
        others = [n for n in evidence.normals if n.fold != fold] or evidence.normals
        statistics[fold] = position_statistics([_log_odds(n) for n in others])
    likeness = (statistics[i.fold].standardise(_log_odds(i)) for i in images)
    return np.array([float(np.nanmax(grid)) for grid in likeness])


def _log_odds(image: HeldOutImage) -> np.ndarray:
    assert image.evidence.logit is not None, "held-out defective images come with a probe"
    return image.evidence.logit
