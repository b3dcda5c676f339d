"""The weights of the three indicators in the known-defect channel of `calibrated`."""

from collections.abc import Sequence

import numpy as np

from patchcore_dual.scoring.fusion.logistic import fit_logistic

PRIOR_WEIGHT = 0.5  # of each indicator
PRIOR_IMAGES = 3.0  # the prior counts as much as this many defective images
TOP_PATCHES = 5  # of each image, to which the regression is fitted
ROUNDS = 3


def fit_channel_weights(
    normals: Sequence[Sequence[np.ndarray]],
    defectives: Sequence[Sequence[np.ndarray]],
    defect_cells: Sequence[np.ndarray | None],
) -> tuple[float, ...]:
    """Fit the weights by a logistic regression with ridge prior, none of them negative.

    The regression sees the highest patches of each image, of defective images the highest on the
    defect. Which patches are the highest depends on the weights, so it is fitted in three rounds.
    Both classes have the same total weight, and within each all images.

    Args:
        normals: the three standardised indicators, float32 `[h, w]` each, of every held-out normal
            image.
        defectives: the same of the held-out defective images.
        defect_cells: bool `[h, w]`, where the defect of each of those lies.

    Returns:
        Three weights with sum 1: equal ones without defective images, and (1, 0, 0) where no
        indicator separates the classes.

    >>> rng = np.random.default_rng(0)
    >>> normals = [rng.standard_normal((3, 4, 4)) for _ in range(20)]
    >>> defectives = [rng.standard_normal((3, 4, 4)) for _ in range(20)]
    >>> for grids in defectives:
    ...     grids[2] += 5  # only the third indicator shows the defects
    >>> weights = fit_channel_weights(normals, defectives, [np.ones((4, 4), bool)] * 20)
    >>> weights[2] > 0.5, round(sum(weights), 6)
    (True, 1.0)
    >>> [round(weight, 2) for weight in fit_channel_weights(normals, [], [])]
    [0.33, 0.33, 0.33]
    """
    prior = np.full(3, PRIOR_WEIGHT)
    weights = prior
    if not defectives:
        return tuple((weights / weights.sum()).tolist())
    images = [np.stack([grid.ravel() for grid in z], axis=1) for z in normals]
    images += [
        np.stack([grid[on_defect] for grid in z], axis=1)
        for z, on_defect in zip(defectives, defect_cells, strict=True)
    ]
    images = [x[~np.isnan(x[:, 0])] for x in images]
    for _ in range(ROUNDS):
        tops = [x[np.argsort(-(x @ weights), kind="stable")[:TOP_PATCHES]] for x in images]
        counts = np.array([len(top) for top in tops])
        is_defective = np.arange(len(images)) >= len(normals)
        per_patch = np.where(is_defective, 0.5 / len(defectives), 0.5 / len(normals)) / counts
        weights, _ = fit_logistic(
            np.concatenate(tops).astype(np.float64),
            np.repeat(is_defective, counts),
            np.repeat(per_patch, counts),
            ridge=PRIOR_IMAGES / len(defectives),
            prior=prior,
            nonnegative=True,
        )
    if weights.sum() <= 0:  # no indicator helps: the channel falls back to log d_N
        return (1.0, 0.0, 0.0)
    return tuple((weights / weights.sum()).tolist())
