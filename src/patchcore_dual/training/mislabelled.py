"""Good training images that are probably defective, by out-of-fold evidence on the training images.

The highest log odds of an image, standardised by position, say how much it looks like the known
defects. On good images they are the largest of many patch values and follow a Gumbel distribution,
which is fitted to the lower four fifths: the part that few mislabelled images can reach. On
mislabelled images they follow those of the held-out defective ones. The share of mislabelled images
has the largest likelihood, and Bayes' rule then gives each image's probability.

Distances to the normal bank would not do: two mislabelled images that show the same sort of defect
are in each other's banks.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from patchcore_dual.model import CalibrationSet
from patchcore_dual.scoring import HeldOutImage, TrainingEvidence
from patchcore_dual.scoring.fusion.position import position_statistics

SET_ASIDE_FROM = 0.7  # probability of being mislabelled
LEAST_NORMALS, LEAST_DEFECTIVES = 10, 3  # fewer say too little of how each class is distributed

_TRUSTED = 0.8  # share of the good images, the lowest, that their distribution is fitted to
_ROUNDS = 1000


def likely_mislabelled(calibration: CalibrationSet) -> tuple[str, ...]:
    """The names of good training images that are probably defective, the most probable first.

    None without a probe, with fewer than 10 good images, or with fewer than 3 defective ones of
    which other folds hold defects too.
    """
    evidence = calibration.evidence
    known = [image for image in evidence.defectives if image.is_known]
    if len(evidence.normals) < LEAST_NORMALS or len(known) < LEAST_DEFECTIVES:
        return ()
    probability = mislabelled_probability(
        _likeness(evidence, evidence.normals), _likeness(evidence, known)
    )
    order = np.argsort(-probability, kind="stable")
    return tuple(calibration.normals[i] for i in order if probability[i] >= SET_ASIDE_FROM)


def mislabelled_probability(normal: np.ndarray, defective: np.ndarray) -> np.ndarray:
    """The probability that each good image is mislabelled.

    Args:
        normal: float64 `[n]`, how much each held-out good image looks like the known defects.
        defective: float64 `[k]`, the same of the held-out defective images.

    Returns:
        float64 `[n]`.

    >>> rng = np.random.default_rng(0)
    >>> good, defective = rng.gumbel(2, 1, 60), rng.normal(14, 2, 20)
    >>> bool(mislabelled_probability(good, defective).max() < 0.5)
    True
    >>> found = mislabelled_probability(np.append(good, [13.0, 16.0]), defective)
    >>> np.flatnonzero(found > 0.8).tolist()
    [60, 61]
    """
    spread = float(np.std(defective, ddof=1))
    if not spread or not np.std(normal):
        return np.zeros(len(normal))
    location, scale = _gumbel(normal)
    z = (normal - location) / scale
    of_good = np.exp(-z - np.exp(-np.maximum(z, -50))) / scale
    # Kernel density; above the median defect, whatever looks more like a defect is one no less.
    width = spread * len(defective) ** -0.2
    reached = np.minimum(normal, np.median(defective))
    u = (reached[:, None] - defective) / width
    of_defective = np.exp(-(u**2) / 2).mean(axis=1) / (width * np.sqrt(2 * np.pi))
    of_defective = np.where(z > 0, of_defective, 0)
    share, probability = 0.1, np.zeros(len(normal))
    for _ in range(_ROUNDS):
        wrong, right = share * of_defective, (1 - share) * of_good
        probability = wrong / np.maximum(wrong + right, np.finfo(float).tiny)
        share, former = float(probability.mean()), share
        if abs(share - former) < 1e-9:
            break
    return probability


def _likeness(evidence: TrainingEvidence, images: Sequence[HeldOutImage]) -> np.ndarray:
    """The highest log odds of each image, standardised by the good images of other folds."""
    statistics = {}
    for fold in {image.fold for image in images}:
        others = [n for n in evidence.normals if n.fold != fold] or evidence.normals
        statistics[fold] = position_statistics([_log_odds(n) for n in others])
    return np.array([float(statistics[i.fold].standardise(_log_odds(i)).max()) for i in images])


def _log_odds(image: HeldOutImage) -> np.ndarray:
    assert image.evidence.logit is not None, "held-out defective images come with a probe"
    return image.evidence.logit


def _gumbel(values: np.ndarray) -> tuple[float, float]:
    """Location and scale of the most likely Gumbel distribution; the highest fifth is censored."""
    limit = np.quantile(values, _TRUSTED)
    below, n_above = values[values <= limit], int((values > limit).sum())
    spread = max(float(np.std(below)), 1e-6)

    def loss(parameters: np.ndarray) -> float:
        location, scale = parameters[0], np.exp(parameters[1])
        z = np.maximum((below - location) / scale, -50)
        above = -np.expm1(-np.exp(-max((limit - location) / scale, -50)))
        likelihood = -(z + np.exp(-z)).sum() - len(below) * parameters[1]
        return float(-likelihood - n_above * np.log(max(above, 1e-300)))

    start = [float(np.median(values)) - 0.2 * spread, float(np.log(spread))]
    location, logarithm = minimize(loss, start, method="Nelder-Mead").x
    return float(location), float(np.exp(logarithm))
