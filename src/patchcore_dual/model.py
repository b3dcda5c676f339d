"""`Model`: everything that fitting leaves behind and inspecting needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.features import Backbone
from patchcore_dual.scoring import Rule, Threshold, anomaly_map, conformal_threshold
from patchcore_dual.settings import Settings
from patchcore_dual.training import HeldOut


@dataclass(frozen=True)
class Decision:
    """Where the lines are drawn.

    Attributes:
        image: threshold on the image score.
        pixel: threshold on the anomaly map; what is above belongs to a region.
        floor: the map's typical value on good surface, from which pictures count.
    """

    image: Threshold
    pixel: float
    floor: float


@dataclass(frozen=True)
class HeldOutTable:
    """What is kept of the held-out normal images, so that thresholds can be renewed without them.

    Attributes:
        names: the images, n of them.
        scores: float64 `[n]`, their image scores.
        owner: int32 `[m]`, the image of each kept patch.
        patches: float32 `[m, d]`, their few most anomalous patch features.
        distances: float32 `[m]`, d_N of those, by the bank without the image's group.
    """

    names: tuple[str, ...]
    scores: np.ndarray
    owner: np.ndarray
    patches: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class Model:
    """A fitted detector's parts. `size` is width and height, None where images keep theirs."""

    settings: Settings
    backbone: Backbone
    size: tuple[int, int] | None
    normal_bank: MemoryBank
    defect_bank: MemoryBank | None
    rule: Rule
    decision: Decision
    held_out: HeldOutTable
    trained_on: dict[str, Any]


def decide(rule: Rule, held_out: Sequence[HeldOut], false_alarm_rate: float) -> Decision:
    """Thresholds from held-out normal images: on image scores, and on the maxima of their maps."""
    scores, peaks, middles = [], [], []
    for one in held_out:
        score, grid = rule(one.evidence)
        heat = anomaly_map(grid, one.height, one.width, rule.sigma)
        scores.append(score)
        peaks.append(float(heat.max()))
        middles.append(float(np.median(heat)))
    return Decision(
        conformal_threshold(np.array(scores), false_alarm_rate),
        conformal_threshold(np.array(peaks), false_alarm_rate).value,
        float(np.median(middles)),
    )


def keep_held_out(rule: Rule, held_out: Sequence[HeldOut]) -> HeldOutTable:
    """The part of the held-out evidence that the model keeps."""
    counts = [len(one.patches) for one in held_out]
    return HeldOutTable(
        tuple(one.name for one in held_out),
        np.array([rule(one.evidence)[0] for one in held_out]),
        np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        np.concatenate([one.patches for one in held_out]),
        np.concatenate([one.distances for one in held_out]),
    )
