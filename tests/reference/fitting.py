"""How `calibrated` is fitted, step by step: logistic regression, channel weights, the guard."""

import math

import numpy as np

from reference import scores
from reference.scores import flat

DISCOUNTS = (0.0, 0.5, 1.0, 2.0, 4.0, math.inf)


def logistic(rows, is_defect, row_weights, ridge, prior, nonnegative):
    """Minimise Σ weight · log-loss + ridge/2 · ‖β − prior‖² by projected gradient descent."""
    x = np.array(rows, dtype=np.float64)
    y, w = np.array(is_defect, dtype=np.float64), np.array(row_weights, dtype=np.float64)
    x = np.column_stack([x, np.ones(len(x))])
    # The curvature of the log-loss is at most a quarter.
    step = 1 / (0.25 * np.linalg.norm((x * w[:, None]).T @ x, 2) + ridge)
    centre = np.append(np.array(prior, dtype=np.float64), 0.0)
    beta = centre.copy()
    for _ in range(200_000):
        before = beta.copy()
        gradient = x.T @ (w * (1 / (1 + np.exp(-(x @ beta))) - y))
        gradient[:-1] += ridge * (beta - centre)[:-1]
        beta = beta - step * gradient
        if nonnegative:
            beta[:-1] = np.maximum(beta[:-1], 0)
        if np.abs(beta - before).max() < 1e-10:
            break
    return beta[:-1], beta[-1]


def channel_weights(normals, defectives, cells):
    """The weights of three grids, lists of rows, in the known-defect channel.

    Three rounds of a regression on the five highest patches of each image, of defective ones on
    the defect. The prior of 1/2 each counts as much as three defective images.
    """
    if not defectives:
        return [1 / 3] * 3
    images = [list(zip(*map(flat, z), strict=True)) for z in normals]
    for z, on_defect in zip(defectives, cells, strict=True):
        patches = zip(*map(flat, z), flat(on_defect), strict=True)
        images.append([(a, b, c) for a, b, c, inside in patches if inside])
    weights = [0.5] * 3
    for _ in range(3):
        rows, labels, row_weights = [], [], []
        for number, patches in enumerate(images):
            is_defective = number >= len(normals)
            top = sorted(
                patches, key=lambda p: -sum(w * v for w, v in zip(weights, p, strict=True))
            )[:5]
            of_class = len(defectives) if is_defective else len(normals)
            rows += top
            labels += [is_defective] * len(top)
            row_weights += [0.5 / of_class / len(top)] * len(top)
        weights, _ = logistic(rows, labels, row_weights, 3 / len(defectives), [0.5] * 3, True)
    return [w / sum(weights) for w in weights] if sum(weights) > 0 else [1.0, 0.0, 0.0]


def mean_recall(defectives, normals):
    """Each image's recall, averaged over false-alarm rates up to 10 %; ties count as missed."""
    recalls = []
    for score in defectives:
        rate = sum(n >= score for n in normals) / len(normals)
        recalls.append(max(0.0, 1 - rate / 0.1))
    return recalls


def at_discount(maxima, discount):
    """The scores of images from pairs of maxima (unfamiliar, known)."""
    return [max(u, k - discount) for u, k in maxima]


def guard(normals, defectives, left_out):
    """The discount that the guard chooses, with recall on unseen and on seen kinds at each.

    Each argument is a list of pairs of maxima; `left_out` has a pair of such lists by cluster.
    """

    def recalls(discount):
        return [
            mean_recall(at_discount(d, discount), at_discount(n, discount)) for n, d in left_out
        ]

    def average(values):
        return sum(values) / len(values)

    def unseen(discount):
        return average([average(cluster) for cluster in recalls(discount)])

    def seen(discount):
        if not defectives:
            return 0.0
        scored = at_discount(defectives, discount), at_discount(normals, discount)
        return average(mean_recall(*scored))

    best = None
    for discount in DISCOUNTS:
        losses = [
            without - with_bank
            for clusters in zip(recalls(math.inf), recalls(discount), strict=True)
            for without, with_bank in zip(*clusters, strict=True)
        ]
        spread = math.sqrt(average([(loss - average(losses)) ** 2 for loss in losses]))
        allowed = max(0.02, spread / math.sqrt(len(losses)))
        if unseen(math.inf) - unseen(discount) > allowed:
            continue
        value = unseen(discount) + seen(discount)
        if best is None or value > best[0] + 1e-12:
            best = value, discount
    return best[1], {d: unseen(d) for d in DISCOUNTS}, {d: seen(d) for d in DISCOUNTS}


def fit_calibrated(normals, defectives):
    """Weights, discount, and recalls by discount on unseen and seen kinds.

    Images are dictionaries as `scores.calibrated` takes them; defective ones have "cells" and
    "is_known", and all have "unseen": the grids "defect" and "logit" by cluster.
    """
    smallest_distances = [v for image in normals for v in flat(image["defect"])]
    epsilon = max(scores.SMALLEST, scores.quantile(smallest_distances, 0.01))
    folds = {image["fold"] for image in [*normals, *defectives]}
    statistics = {
        fold: scores.statistics_of([n for n in normals if n["fold"] != fold], epsilon)
        for fold in folds
    }

    def out_of_fold(image):
        return scores.standardised(image, statistics[image["fold"]], epsilon)

    known = [image for image in defectives if image["is_known"]]
    z_normal, z_known = [out_of_fold(n) for n in normals], [out_of_fold(d) for d in known]
    weights = channel_weights(z_normal, z_known, [image["cells"] for image in known])

    def known_peak(z):
        return max(flat(scores.weighted(z, weights)))

    unfamiliar = scores.scale_of([max(flat(z[0])) for z in z_normal])

    def maxima(all_z, scale):
        return [(unfamiliar(max(flat(z[0]))), scale(known_peak(z))) for z in all_z]

    scale = scores.scale_of([known_peak(z) for z in z_normal])
    left_out = []
    for cluster in sorted({cluster for image in defectives for cluster in image["unseen"]}):
        members = [image for image in defectives if cluster in image["unseen"]]
        without = [{**image, **image["unseen"][cluster]} for image in normals]
        of_rest = scores.statistics_of(without, epsilon)

        def as_unseen(image, cluster=cluster, of_rest=of_rest):
            changed = {**image, **image["unseen"][cluster]}
            rest = scores.standardised(changed, of_rest, epsilon)
            return [out_of_fold(image)[0], *rest[1:]]

        z_without = [as_unseen(image) for image in normals]
        own_scale = scores.scale_of([known_peak(z) for z in z_without])
        z_members = [as_unseen(image) for image in members]
        left_out.append((maxima(z_without, own_scale), maxima(z_members, own_scale)))
    chosen = guard(maxima(z_normal, scale), maxima(z_known, scale), left_out)
    return weights, *chosen
