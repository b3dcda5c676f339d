"""The metrics as their definitions read: plain loops over thresholds and pairs."""

from itertools import pairwise

import numpy as np


def auroc(scores, labels):
    """Share of (defective, good) pairs in which the defective one scores higher, ties as half."""
    defective = [s for s, is_defective in zip(scores, labels, strict=True) if is_defective]
    good = [s for s, is_defective in zip(scores, labels, strict=True) if not is_defective]
    won = 0.0
    for d in defective:
        for g in good:
            won += 1.0 if d > g else 0.5 if d == g else 0.0
    return won / (len(defective) * len(good))


def average_precision(scores, labels):
    """Sum over falling thresholds of (gain in recall) times precision."""
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        precision, recall = _precision_and_recall(scores, labels, threshold)
        total += (recall - recall_before) * precision
        recall_before = recall
    return total


def best_f1(scores, labels):
    best = 0.0
    for threshold in set(scores):
        precision, recall = _precision_and_recall(scores, labels, threshold)
        if precision + recall > 0:
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def recall_at_fpr(scores, labels, fpr):
    """The highest recall of a threshold with a false-alarm rate of at most `fpr`."""
    best = 0.0
    for threshold in set(scores):
        false_alarms = sum(
            s >= threshold and not is_defective
            for s, is_defective in zip(scores, labels, strict=True)
        )
        if false_alarms / sum(not is_defective for is_defective in labels) <= fpr:
            best = max(best, _precision_and_recall(scores, labels, threshold)[1])
    return best


def aupro(anomaly_maps, masks, limit=0.3):
    """Area under mean region overlap against false-positive rate, over every threshold."""
    regions = [(i, region) for i, mask in enumerate(masks) for region in _regions(mask)]
    n_good = sum(int((~mask).sum()) for mask in masks)
    points = [(0.0, 0.0)]
    thresholds = sorted({float(v) for m in anomaly_maps for v in m.ravel()}, reverse=True)
    for threshold in thresholds:
        false_positives = sum(
            int(((m >= threshold) & ~mask).sum())
            for m, mask in zip(anomaly_maps, masks, strict=True)
        )
        overlaps = [
            sum(anomaly_maps[i][pixel] >= threshold for pixel in region) / len(region)
            for i, region in regions
        ]
        points.append((false_positives / n_good, sum(overlaps) / len(overlaps)))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
        area += (end - x0) * (y0 + y_end) / 2
    return area / limit


def _precision_and_recall(scores, labels, threshold):
    rejected = [
        is_defective for s, is_defective in zip(scores, labels, strict=True) if s >= threshold
    ]
    return sum(rejected) / len(rejected), sum(rejected) / sum(labels)


def _regions(mask):
    """The 8-connected regions of a mask, each a list of (y, x)."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    regions = []
    while left:
        region, front = [], [left.pop()]
        while front:
            y, x = front.pop()
            region.append((y, x))
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    neighbour = (y + dy, x + dx)
                    if neighbour in left:
                        left.remove(neighbour)
                        front.append(neighbour)
        regions.append(region)
    return regions
