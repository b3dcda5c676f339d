"""Held-out results of a model's calibration images, and recall before and after a change."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from patchcore_dual.live.recalibration import calibration_of
from patchcore_dual.model import Model


class HeldOut(NamedTuple):
    """The held-out result of one calibration image.

    Attributes:
        is_defect: whether it shows a defect.
        score, verdict: by banks and a probe without it, at the model's own thresholds.
    """

    is_defect: bool
    score: float
    verdict: str


def held_out_results(model: Model) -> dict[str, HeldOut]:
    """The results of all calibration images by name, but those that no other defect tells of."""
    calibration, rule = calibration_of(model), model.rule
    evidence = calibration.evidence
    images = (*evidence.normals, *evidence.defectives)
    names = (*calibration.normals, *calibration.defectives)
    results = {}
    outputs = rule.held_out(evidence, images)
    for name, image, output in zip(names, images, outputs, strict=True):
        is_defect = image.defect_cells is not None
        verdict = model.thresholds.verdict(output.score)
        if image.is_known or not is_defect:
            results[name] = HeldOut(is_defect, output.score, verdict)
    return results


def recall(results: Mapping[str, HeldOut], names: Sequence[str]) -> float | None:
    """The share of some defects that is rejected; None without any."""
    return float(np.mean([results[n].verdict == "reject" for n in names])) if names else None


def recall_left_out(before: Model, after: Model) -> tuple[float | None, float | None]:
    """On the defects of both models, where both leave out the same kinds of them."""
    kinds = _clusters(before), _clusters(after)
    common = kinds[0].keys() & kinds[1].keys()

    def partition(cluster_of: Mapping[str, int]) -> set[frozenset[str]]:
        clusters: dict[int, set[str]] = {}
        for name in common:
            clusters.setdefault(cluster_of[name], set()).add(name)
        return {frozenset(names) for names in clusters.values()}

    if not common or partition(kinds[0]) != partition(kinds[1]):
        return None, None
    found = []
    for model in (before, after):
        calibration = calibration_of(model)
        evidence = calibration.evidence
        pairs = zip(calibration.defectives, evidence.defectives, strict=True)
        some = tuple(image for name, image in pairs if name in common)
        scores = model.rule.left_out(replace(evidence, defectives=some))
        threshold = model.thresholds.image.value
        found.append(float(np.mean([(one > threshold).mean() for one in scores])))
    return found[0], found[1]


def _clusters(model: Model) -> dict[str, int]:
    """The cluster of each known defective image that is left out with others."""
    calibration = calibration_of(model)
    pairs = zip(calibration.defectives, calibration.evidence.defectives, strict=True)
    return {name: next(iter(image.unseen)) for name, image in pairs if image.unseen}
