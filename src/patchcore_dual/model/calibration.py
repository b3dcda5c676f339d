"""`CalibrationSet`: what a fitted model keeps so that it can be calibrated again.

Thresholds, fusion rule and guard follow from the out-of-fold evidence on the training images, and
the probe from whitened patches. A model that keeps them can be calibrated again exactly, as for
another false-alarm rate, without its training images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.scoring import (
    Evidence,
    HeldOutImage,
    HeldOutResults,
    HeldOutScores,
    Nearest,
    Rule,
    Thresholds,
    TrainingEvidence,
    calibrate_thresholds,
)
from patchcore_dual.scoring.fusion.probe import Whitening

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class CalibrationSet:
    """Out-of-fold evidence on the training images, and what the probe was trained on.

    Attributes:
        evidence: of the normal images and of the real defective ones, each from banks and a probe
            that were built without it.
        normals, defectives: names of these images, in the same order.
        groups: the group of each normal image, which is its own name where it has none.
        sha256: hex digest of each real training image's file, by name, whether scored here or not.
        prepared: the folder that the images lie in.
        covering_radius: of the normal bank's coreset, among projected features.
        whitening: that of the probe's inputs; None for a rule without a probe.
        normal_sample: the normal patches that the probe was trained on, likewise.
        defect_sample: the defect patches that it was trained on, likewise.
    """

    evidence: TrainingEvidence
    normals: tuple[str, ...]
    defectives: tuple[str, ...]
    groups: tuple[str, ...]
    sha256: Mapping[str, str]
    prepared: str
    covering_radius: float
    whitening: Whitening | None = None
    normal_sample: MemoryBank | None = None
    defect_sample: MemoryBank | None = None

    def fit_rule(self, rule: type[Rule]) -> Rule:
        """The rule with its constants learned from this set."""
        return rule().fit(self.evidence)

    def thresholds(
        self, rule: Rule, false_alarm_rate: float, review_rate: float | None = None
    ) -> Thresholds:
        """The thresholds of a fitted rule for a false-alarm rate, and one of review."""
        normals = self.evidence.normals
        outputs = rule.held_out(self.evidence, normals)
        return calibrate_thresholds(
            outputs,
            normals,
            rule.sigma,
            false_alarm_rate,
            groups=self.groups,
            review_rate=review_rate,
        )

    def scores(self, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
        """Out-of-fold image scores under a fitted rule.

        Returns:
            float64 `[n]`, those of the normal images, and float64 `[k]`, those of the real
            defective images of which other folds hold defects too.
        """
        known = [one for one in self.evidence.defectives if one.is_known]
        normal = rule.held_out(self.evidence, self.evidence.normals)
        defective = rule.held_out(self.evidence, known)
        return (
            np.array([output.score for output in normal], dtype=np.float64),
            np.array([output.score for output in defective], dtype=np.float64),
        )

    def results(self, rule: Rule) -> HeldOutResults:
        """Out-of-fold image scores under a fitted rule, by what the images show."""
        normal, known = self.scores(rule)
        scores = HeldOutScores(normal, self.groups)
        return HeldOutResults(scores, known, tuple(rule.left_out(self.evidence)))

    def to_arrays(self) -> tuple[dict[str, Any], Arrays]:
        """All of it as plain values and as arrays by name."""
        values: dict[str, Any] = {
            "normals": self.normals,
            "defectives": self.defectives,
            "groups": self.groups,
            "sha256": dict(self.sha256),
            "prepared": self.prepared,
            "covering_radius": self.covering_radius,
            "false_alarm_rate": self.evidence.false_alarm_rate,
            "sources": {
                name: bank.sources
                for name, bank in (
                    ("normal_sample", self.normal_sample),
                    ("defect_sample", self.defect_sample),
                )
                if bank is not None
            },
        }
        arrays: Arrays = _evidence_arrays([*self.evidence.normals, *self.evidence.defectives])
        if self.whitening is not None:
            arrays["whitening.mean"] = self.whitening.mean
            arrays["whitening.matrix"] = self.whitening.matrix
        for name, bank in (
            ("normal_sample", self.normal_sample),
            ("defect_sample", self.defect_sample),
        ):
            if bank is not None:
                arrays |= {f"{name}.{key}": value for key, value in bank_arrays(bank).items()}
        return values, arrays

    @classmethod
    def from_arrays(cls, values: Mapping[str, Any], arrays: Arrays) -> "CalibrationSet":
        """The set again, from what `to_arrays` gave."""
        images = _evidence_of(arrays)
        normals, defectives = tuple(values["normals"]), tuple(values["defectives"])
        samples = {
            name: MemoryBank(
                arrays[f"{name}.vectors"],
                arrays[f"{name}.image"],
                arrays[f"{name}.cell"],
                tuple(sources),
            )
            for name, sources in values["sources"].items()
        }
        whitening = None
        if "whitening.mean" in arrays:
            whitening = Whitening(arrays["whitening.mean"], arrays["whitening.matrix"])
        return cls(
            TrainingEvidence(
                tuple(images[: len(normals)]),
                tuple(images[len(normals) :]),
                values["false_alarm_rate"],
            ),
            normals,
            defectives,
            tuple(values["groups"]),
            values["sha256"],
            values["prepared"],
            values["covering_radius"],
            whitening,
            samples.get("normal_sample"),
            samples.get("defect_sample"),
        )


def bank_arrays(bank: MemoryBank) -> Arrays:
    """A bank's arrays by name."""
    return {"vectors": bank.vectors, "image": bank.image, "cell": bank.cell}


def _evidence_arrays(images: Sequence[HeldOutImage]) -> Arrays:
    """The evidence of many images, end to end.

    An image has one *reading*, its out-of-fold evidence, and one more for each cluster of defects
    that was left out in addition. All share the distances to the normal bank.
    """
    owner, cluster, readings = [], [], []
    for number, image in enumerate(images):
        every = {-1: image.evidence, **image.unseen}
        owner += [number] * len(every)
        cluster += list(every)
        readings += list(every.values())
    grids = [image.evidence.normal.distance.shape for image in images]
    arrays: Arrays = {
        "image.grid": np.array(grids, dtype=np.int32).reshape(-1, 2),
        "image.size": np.array([(i.width, i.height) for i in images], dtype=np.int32),
        "image.fold": np.array([i.fold for i in images], dtype=np.int32),
        "image.is_known": np.array([i.is_known for i in images], dtype=np.uint8),
        "image.has_cells": np.array([i.defect_cells is not None for i in images], dtype=np.uint8),
        "image.normal_weight": np.array([i.evidence.normal.weight for i in images]),
        "image.normal_distance": _joined(i.evidence.normal.distance for i in images),
        "image.defect_cells": _joined(
            (i.defect_cells for i in images if i.defect_cells is not None), np.uint8
        ),
        "reading.image": np.array(owner, dtype=np.int32),
        "reading.cluster": np.array(cluster, dtype=np.int32),
    }
    if readings and readings[0].defect is not None:
        defects = [one.defect for one in readings if one.defect is not None]
        arrays["reading.defect_weight"] = np.array([defect.weight for defect in defects])
        arrays["reading.defect_distance"] = _joined(defect.distance for defect in defects)
    if readings and readings[0].logit is not None:
        arrays["reading.logit"] = _joined(one.logit for one in readings if one.logit is not None)
    return arrays


def _evidence_of(arrays: Arrays) -> list[HeldOutImage]:
    """The images again, from what `_evidence_arrays` gave."""
    grids = [tuple(grid) for grid in arrays["image.grid"].tolist()]
    owner = arrays["reading.image"].tolist()
    normal = _split(arrays["image.normal_distance"], grids)
    of_defects = [g for g, has in zip(grids, arrays["image.has_cells"], strict=True) if has]
    cells = iter(_split(arrays["image.defect_cells"].astype(bool), of_defects))
    reading_grids = [grids[number] for number in owner]
    distances = logits = None
    if "reading.defect_distance" in arrays:
        distances = _split(arrays["reading.defect_distance"], reading_grids)
    if "reading.logit" in arrays:
        logits = _split(arrays["reading.logit"], reading_grids)
    images: list[HeldOutImage] = []
    for number, (width, height) in enumerate(arrays["image.size"].tolist()):
        weight = float(arrays["image.normal_weight"][number])
        nearest = Nearest(normal[number], _unknown(grids[number]), weight)
        images.append(
            HeldOutImage(
                Evidence(nearest),
                int(arrays["image.fold"][number]),
                width,
                height,
                next(cells) if arrays["image.has_cells"][number] else None,
                is_known=bool(arrays["image.is_known"][number]),
            )
        )
    for place, (number, cluster) in enumerate(
        zip(owner, arrays["reading.cluster"].tolist(), strict=True)
    ):
        evidence = Evidence(images[number].evidence.normal)
        if distances is not None:
            weight = float(arrays["reading.defect_weight"][place])
            defect = Nearest(distances[place], _unknown(grids[number]), weight)
            evidence = replace(evidence, defect=defect)
        if logits is not None:
            evidence = replace(evidence, logit=logits[place])
        if cluster < 0:
            images[number] = replace(images[number], evidence=evidence)
        else:
            images[number].unseen[cluster] = evidence
    return images


def _joined(grids: Any, dtype: type = np.float32) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *(grid.ravel().astype(dtype) for grid in grids)])


def _split(values: np.ndarray, grids: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    ends = np.cumsum([height * width for height, width in grids])
    parts = np.split(values, ends[:-1]) if len(grids) else []
    return [part.reshape(grid) for part, grid in zip(parts, grids, strict=True)]


def _unknown(grid: tuple[int, int]) -> np.ndarray:
    """Placeholders, int64 `[h, w]`: calibration uses distances, not the nearest vectors."""
    return np.full(grid, -1, dtype=np.int64)
