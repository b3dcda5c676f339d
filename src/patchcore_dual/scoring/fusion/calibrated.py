"""`calibrated`: the recommended rule, the larger of two channels on a common scale.

* *Unfamiliar*: is a patch farther from the normal bank than is usual at its position? (log d_N)
* *Known defect*: does it look like one of the known defects? (a weighted sum of log d_N, of the
  ratio log d_N − log(d_P + ε), and of the probe's log odds, each standardised by position)

Both channels are scaled by the image maxima of held-out normal images: 0 is their median, and each
unit more makes a normal image about e times rarer. For that the excess above the median is taken to
follow a generalised Pareto distribution, whose tail is exponential at shape 0 and heavier above: a
channel in which normal images lie far out now and then counts less up there, and does not decide
alone where the threshold lies.

The patch grid is the larger of *unfamiliar* and of *known defect* minus a discount, and the image
score is its maximum. A patch that is far from both banks therefore raises an alarm whatever the
defect bank says, and the discount, which the guard chooses (`guard.py`), bounds the recall that
knowing some defects can cost on unknown ones.

All constants are estimated on training images by cross-fitting. With a single defective image the
weights stay at their equal prior; the more defective images there are, the more the weights follow
the data. Without any, only the *unfamiliar* channel is used.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from patchcore_dual.scoring.evidence import Evidence, HeldOutImage, TrainingEvidence
from patchcore_dual.scoring.fusion.channel_weights import fit_channel_weights
from patchcore_dual.scoring.fusion.guard import (
    ChannelMaxima,
    GuardReport,
    LeftOutCluster,
    choose_discount,
)
from patchcore_dual.scoring.fusion.position import PositionStatistics, position_statistics
from patchcore_dual.scoring.fusion.ratio import estimate_epsilon
from patchcore_dual.scoring.fusion.rule import Rule, RuleOutput, nearest_defects
from patchcore_dual.scoring.tail import Scale

_SMALLEST = 1e-6  # lower limit of distances before their logarithm, and of ε

Indicator = Callable[[Evidence], np.ndarray]
"""One value for each patch, float32 `[h, w]`: log d_N, the log ratio or the log odds."""


@dataclass(frozen=True)
class Calibrated(Rule):
    """The recommended rule with its fitted constants; the module describes how they are used.

    Attributes:
        epsilon: ε, added to d_P: its 1 % quantile on held-out normal images.
        position_statistics: of log d_N, and with a defect bank of the log ratio and the log odds.
        weights: of these three in the known-defect channel, none negative, with sum 1; empty
            without a defect bank.
        unfamiliar_scale, known_scale: the scales of the two channels.
        discount: what is subtracted from the known-defect channel; infinity switches it off.
        guard: the guard's report; None where it had no cluster of defects to leave out.
    """

    name: ClassVar[str] = "calibrated"
    epsilon: float = _SMALLEST
    position_statistics: tuple[PositionStatistics, ...] = ()
    weights: tuple[float, ...] = ()
    unfamiliar_scale: Scale = field(default_factory=Scale)
    known_scale: Scale = field(default_factory=Scale)
    discount: float = 0.0
    guard: GuardReport | None = field(default=None, compare=False)
    needs_defects: ClassVar[bool] = False
    uses_probe: ClassVar[bool] = True

    def fit(self, training: TrainingEvidence) -> Self:
        normals = training.normals
        rule = self
        if normals[0].evidence.defect is not None:
            rule = replace(rule, epsilon=max(estimate_epsilon(normals), _SMALLEST))
        indicators = rule._indicators(normals[0].evidence)
        statistics = [position_statistics([f(n.evidence) for n in normals]) for f in indicators]
        rule = replace(rule, position_statistics=tuple(statistics))
        z_normal = rule._standardise_out_of_fold(training, normals)
        rule = replace(rule, unfamiliar_scale=Scale.of([z[0] for z in z_normal]))
        if len(indicators) == 1:
            return rule
        known = [image for image in training.defectives if image.is_known]
        z_known = rule._standardise_out_of_fold(training, known)
        weights = fit_channel_weights(z_normal, z_known, [image.defect_cells for image in known])
        rule = replace(rule, weights=weights)
        rule = replace(rule, known_scale=Scale.of([rule._weighted_sum(z) for z in z_normal]))
        guard = rule._run_guard(training, z_normal, z_known)
        return replace(rule, discount=guard.discount if guard else 0.0, guard=guard)

    def __call__(self, evidence: Evidence) -> RuleOutput:
        indicators = self._indicators(evidence)
        return self._output(
            [
                statistics.standardise(indicator(evidence))
                for statistics, indicator in zip(self.position_statistics, indicators, strict=True)
            ]
        )

    def held_out(
        self, training: TrainingEvidence, images: Sequence[HeldOutImage]
    ) -> list[RuleOutput]:
        """Return the output for each image with position statistics estimated without its fold."""
        return [self._output(z) for z in self._standardise_out_of_fold(training, images)]

    def left_out(self, training: TrainingEvidence) -> list[np.ndarray]:
        if not self.weights:
            return []
        z_normal = self._standardise_out_of_fold(training, training.normals)
        return [
            self._leave_out(cluster, training, z_normal).defectives.scores(self.discount)
            for cluster in _clusters(training)
        ]

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        constants = {
            "epsilon": self.epsilon,
            "weights": self.weights,
            "unfamiliar": asdict(self.unfamiliar_scale),
            "known": asdict(self.known_scale),
            "discount": _json_number(self.discount),
            "guard": {k: _json_number(v) for k, v in asdict(self.guard).items()}
            if self.guard
            else None,
        }
        arrays = {
            f"{name}_{i}": getattr(statistics, name)
            for i, statistics in enumerate(self.position_statistics)
            for name in ("mean", "deviation")
        }
        return constants, arrays

    @classmethod
    def from_state(cls, constants: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        guard = constants["guard"]
        return cls(
            epsilon=constants["epsilon"],
            position_statistics=tuple(
                PositionStatistics(arrays[f"mean_{i}"], arrays[f"deviation_{i}"])
                for i in range(len(arrays) // 2)
            ),
            weights=tuple(constants["weights"]),
            unfamiliar_scale=Scale(**constants["unfamiliar"]),
            known_scale=Scale(**constants["known"]),
            discount=float(constants["discount"]),
            guard=GuardReport(**{k: float(v) for k, v in guard.items()}) if guard else None,
        )

    def _indicators(self, evidence: Evidence) -> tuple[Indicator, ...]:
        if evidence.defect is None:
            return (_log_normal,)
        return (_log_normal, self._log_ratio, _log_odds)

    def _log_ratio(self, evidence: Evidence) -> np.ndarray:
        distance = nearest_defects(evidence).distance
        return _log_normal(evidence) - np.log(distance + np.float32(self.epsilon))

    def _weighted_sum(self, z: Sequence[np.ndarray]) -> np.ndarray:
        """The known-defect channel before scaling."""
        return np.tensordot(np.array(self.weights, dtype=np.float32), np.stack(z), axes=1)

    def _output(self, z: Sequence[np.ndarray]) -> RuleOutput:
        """Scores from the standardised indicators of one image."""
        grid = self.unfamiliar_scale(z[0])
        if self.weights:
            known = self.known_scale(self._weighted_sum(z))
            grid = np.maximum(grid, known - np.float32(self.discount))
        return RuleOutput(float(np.nanmax(grid)), grid)

    def _standardise_out_of_fold(
        self, training: TrainingEvidence, images: Sequence[HeldOutImage]
    ) -> list[list[np.ndarray]]:
        """Each image's indicators, standardised by normal images of the other folds."""
        by_fold: dict[int, list[PositionStatistics]] = {}
        indicators = self._indicators(training.normals[0].evidence)
        result = []
        for image in images:
            if image.fold not in by_fold:
                others = [n for n in training.normals if n.fold != image.fold]
                by_fold[image.fold] = [
                    position_statistics([f(n.evidence) for n in others or training.normals])
                    for f in indicators
                ]
            statistics = by_fold[image.fold]
            result.append(
                [
                    s.standardise(f(image.evidence))
                    for s, f in zip(statistics, indicators, strict=True)
                ]
            )
        return result

    def _run_guard(
        self,
        training: TrainingEvidence,
        z_normal: list[list[np.ndarray]],
        z_known: list[list[np.ndarray]],
    ) -> GuardReport | None:
        """Compare the channels with every cluster of defects known and with each left out."""
        return choose_discount(
            self._maxima(z_normal, self.known_scale),
            self._maxima(z_known, self.known_scale),
            [self._leave_out(cluster, training, z_normal) for cluster in _clusters(training)],
            training.false_alarm_rate,
        )

    def _leave_out(
        self, cluster: int, training: TrainingEvidence, z_normal: list[list[np.ndarray]]
    ) -> LeftOutCluster:
        """Channel maxima with the indicators of the defect bank and the probe recomputed without
        one cluster; log d_N does not depend on it."""
        members = [image for image in training.defectives if cluster in image.unseen]
        z_members = self._standardise_out_of_fold(training, members)
        indicators = (self._log_ratio, _log_odds)
        statistics = [
            position_statistics([f(image.unseen[cluster]) for image in training.normals])
            for f in indicators
        ]

        def without_cluster(image: HeldOutImage, z: list[np.ndarray]) -> list[np.ndarray]:
            evidence = image.unseen[cluster]
            rest = [s.standardise(f(evidence)) for s, f in zip(statistics, indicators, strict=True)]
            return [z[0], *rest]

        z_normal = [without_cluster(*pair) for pair in zip(training.normals, z_normal, strict=True)]
        z_members = [without_cluster(*pair) for pair in zip(members, z_members, strict=True)]
        scale = Scale.of([self._weighted_sum(z) for z in z_normal])
        return LeftOutCluster(self._maxima(z_normal, scale), self._maxima(z_members, scale))

    def _maxima(self, images: Sequence[list[np.ndarray]], known_scale: Scale) -> ChannelMaxima:
        return ChannelMaxima(
            np.array([np.nanmax(self.unfamiliar_scale(z[0])) for z in images]),
            np.array([np.nanmax(known_scale(self._weighted_sum(z))) for z in images]),
        )


def _clusters(training: TrainingEvidence) -> list[int]:
    return sorted({cluster for image in training.defectives for cluster in image.unseen})


def _json_number(value: float) -> float | str:
    """JSON has no infinity; `float` parses this string."""
    return "Infinity" if np.isinf(value) else value


def _log_normal(evidence: Evidence) -> np.ndarray:
    return np.log(np.maximum(evidence.normal.distance, np.float32(_SMALLEST)))


def _log_odds(evidence: Evidence) -> np.ndarray:
    if evidence.logit is None:
        raise ValueError("the rule `calibrated` needs a probe with every defect bank")
    return evidence.logit
