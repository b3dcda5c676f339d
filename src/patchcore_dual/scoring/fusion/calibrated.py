"""`calibrated`: the recommended rule. Two questions, one scale, the more alarming answer.

* *Unfamiliar*: is a patch farther from good surface than is usual at its place? (log d_N)
* *Known defect*: does it look like a defect that was taught? (a weighted sum of log d_N, of the
  ratio log d_N − log(d_P + ε), and of the probe's log odds, each standardised by its place)

Both are put on one scale by held-out good images: 0 is their median maximum, and each unit makes a
good image e times rarer (the tail of maxima is close to exponential). The patch grid is the larger
of *unfamiliar* and *known defect* minus a discount; the image score is its maximum. So a patch
that is far from everything stays an alarm whatever the defect bank says, and the discount, which
the guard sets (`guard.py`), bounds what knowing defects may cost on unknown ones.

Everything is learned from training images by cross-fitting. With one defective image the weights
are equal; the more there are, the more the data decide. Without any, only *unfamiliar* is left.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from patchcore_dual.scoring.evidence import Evidence, HeldOutImage, TrainingEvidence
from patchcore_dual.scoring.fusion.guard import GuardReport, Maxima, Unseen, choose_discount
from patchcore_dual.scoring.fusion.position import PositionStatistics, position_statistics
from patchcore_dual.scoring.fusion.probe import fit_logistic
from patchcore_dual.scoring.fusion.rule import Rule, RuleOutput

EPSILON_QUANTILE = 0.01
PRIOR_WEIGHT = 0.5  # of each evidence, before any defect was seen
PRIOR_IMAGES = 3.0  # the prior counts as much as so many defective images
TOP_PATCHES = 5  # of each image, from which the weights are learned
_SMALLEST = 1e-6

Reading = Callable[[Evidence], np.ndarray]


@dataclass(frozen=True)
class Scale:
    """x ↦ (x − location) / spread: the median and the mean excess above it, of image maxima."""

    location: float = 0.0
    spread: float = 1.0

    def __call__(self, grid: np.ndarray) -> np.ndarray:
        return (grid - np.float32(self.location)) / np.float32(self.spread)

    @classmethod
    def of(cls, grids: Sequence[np.ndarray]) -> "Scale":
        maxima = np.array([grid.max() for grid in grids], dtype=np.float64)
        location = float(np.median(maxima))
        excess = maxima[maxima >= location] - location
        return cls(location, float(max(excess.mean(), _SMALLEST)))


@dataclass(frozen=True)
class Calibrated(Rule):
    """The rule with what it learned; see the module.

    Attributes:
        epsilon: added to d_P, the 1 % quantile of d_P on good images.
        places: statistics by position of log d_N, the log ratio and the log odds.
        weights: of the three in the known-defect channel, not negative, with sum 1.
        unfamiliar, known: the scales of the two channels.
        discount: taken off the known-defect channel; infinite switches it off.
        guard: what the guard found, None where it could not look.
    """

    epsilon: float = _SMALLEST
    places: tuple[PositionStatistics, ...] = ()
    weights: tuple[float, ...] = ()
    unfamiliar: Scale = Scale()
    known: Scale = Scale()
    discount: float = 0.0
    guard: GuardReport | None = field(default=None, compare=False)
    counts_padding: ClassVar[bool] = False
    needs_defects: ClassVar[bool] = False
    uses_probe: ClassVar[bool] = True

    def fit(self, training: TrainingEvidence) -> Self:
        normals, defectives = training.normals, training.defectives
        rule = self
        if normals[0].evidence.defect is not None:
            distances = [_defect_distance(one.evidence).ravel() for one in normals]
            epsilon = float(np.quantile(np.concatenate(distances), EPSILON_QUANTILE))
            rule = replace(rule, epsilon=max(epsilon, _SMALLEST))
        readings = rule._readings(normals[0].evidence)
        places = tuple(position_statistics([r(one.evidence) for one in normals]) for r in readings)
        rule = replace(rule, places=places)
        z_normal = rule._standardised(training, normals)
        rule = replace(rule, unfamiliar=Scale.of([z[0] for z in z_normal]))
        if len(readings) == 1:
            return rule
        known = [one for one in defectives if one.is_known]
        z_defective = rule._standardised(training, known)
        cells = [one.defect_cells for one in known]
        rule = replace(rule, weights=_fit_weights(z_normal, z_defective, cells))
        rule = replace(rule, known=Scale.of([rule._combine(z) for z in z_normal]))
        guard = rule._look(training)
        return replace(rule, discount=guard.discount if guard else 0.0, guard=guard)

    def __call__(self, evidence: Evidence) -> RuleOutput:
        readings = self._readings(evidence)
        z = [p.standardise(r(evidence)) for p, r in zip(self.places, readings, strict=True)]
        return self._answer(z)

    def held_out(
        self, training: TrainingEvidence, images: Sequence[HeldOutImage]
    ) -> list[RuleOutput]:
        """As `__call__`, but each image is read against places learned without its fold."""
        return [self._answer(z) for z in self._standardised(training, images)]

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        constants = {
            "epsilon": self.epsilon,
            "weights": self.weights,
            "unfamiliar": asdict(self.unfamiliar),
            "known": asdict(self.known),
            "discount": _json_number(self.discount),
            "guard": {k: _json_number(v) for k, v in asdict(self.guard).items()}
            if self.guard
            else None,
        }
        arrays = {
            f"{name}_{i}": getattr(place, name)
            for i, place in enumerate(self.places)
            for name in ("mean", "deviation")
        }
        return constants, arrays

    @classmethod
    def from_state(cls, constants: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        guard = constants["guard"]
        return cls(
            constants["epsilon"],
            tuple(
                PositionStatistics(arrays[f"mean_{i}"], arrays[f"deviation_{i}"])
                for i in range(len(arrays) // 2)
            ),
            tuple(constants["weights"]),
            Scale(**constants["unfamiliar"]),
            Scale(**constants["known"]),
            float(constants["discount"]),
            GuardReport(**{k: float(v) for k, v in guard.items()}) if guard else None,
        )

    def _readings(self, evidence: Evidence) -> tuple[Reading, ...]:
        if evidence.defect is None:
            return (_log_normal,)
        return (_log_normal, self._log_ratio, _log_odds)

    def _log_ratio(self, evidence: Evidence) -> np.ndarray:
        return _log_normal(evidence) - np.log(_defect_distance(evidence) + np.float32(self.epsilon))

    def _combine(self, z: Sequence[np.ndarray]) -> np.ndarray:
        return np.tensordot(np.array(self.weights, dtype=np.float32), np.stack(z), axes=1)

    def _answer(self, z: Sequence[np.ndarray]) -> RuleOutput:
        grid = self.unfamiliar(z[0])
        if self.weights:
            grid = np.maximum(grid, self.known(self._combine(z)) - np.float32(self.discount))
        return float(grid.max()), grid

    def _standardised(
        self, training: TrainingEvidence, images: Sequence[HeldOutImage]
    ) -> list[list[np.ndarray]]:
        """Each image's evidence, read against the places of good images of the other folds."""
        by_fold: dict[int, list[PositionStatistics]] = {}
        readings = self._readings(training.normals[0].evidence)
        result = []
        for image in images:
            if image.fold not in by_fold:
                others = [n for n in training.normals if n.fold != image.fold]
                by_fold[image.fold] = [
                    position_statistics([r(n.evidence) for n in others or training.normals])
                    for r in readings
                ]
            places = by_fold[image.fold]
            result.append(
                [p.standardise(r(image.evidence)) for p, r in zip(places, readings, strict=True)]
            )
        return result

    def _look(self, training: TrainingEvidence) -> GuardReport | None:
        """Let the guard look at both channels, with and without each cluster of defects."""
        z_normal = self._standardised(training, training.normals)
        known = [one for one in training.defectives if one.is_known]
        z_known = self._standardised(training, known)
        clusters = sorted({cluster for one in training.defectives for cluster in one.unseen})
        return choose_discount(
            self._maxima(z_normal, self.known),
            self._maxima(z_known, self.known),
            [self._without_cluster(training, z_normal, cluster) for cluster in clusters],
            training.false_alarm_rate,
        )

    def _without_cluster(
        self, training: TrainingEvidence, z_normal: list[list[np.ndarray]], cluster: int
    ) -> Unseen:
        members = [one for one in training.defectives if cluster in one.unseen]
        z_members = self._standardised(training, members)
        readings = (self._log_ratio, _log_odds)
        places = [
            position_statistics([reading(one.unseen[cluster]) for one in training.normals])
            for reading in readings
        ]

        def replaced(image: HeldOutImage, z: list[np.ndarray]) -> list[np.ndarray]:
            evidence = image.unseen[cluster]
            rest = [p.standardise(r(evidence)) for p, r in zip(places, readings, strict=True)]
            return [z[0], *rest]

        z_normal = [replaced(one, z) for one, z in zip(training.normals, z_normal, strict=True)]
        z_members = [replaced(one, z) for one, z in zip(members, z_members, strict=True)]
        scale = Scale.of([self._combine(z) for z in z_normal])
        return Unseen(self._maxima(z_normal, scale), self._maxima(z_members, scale))

    def _maxima(self, images: Sequence[list[np.ndarray]], known: Scale) -> Maxima:
        return Maxima(
            np.array([self.unfamiliar(z[0]).max() for z in images]),
            np.array([known(self._combine(z)).max() for z in images]),
        )


def _fit_weights(
    normals: list[list[np.ndarray]],
    defectives: list[list[np.ndarray]],
    cells: Sequence[np.ndarray | None],
) -> tuple[float, ...]:
    """Weights of the three evidences in the known-defect channel.

    A ridge logistic regression, none negative, on each image's highest patches (of defective
    images, the highest on the defect); as the highest depend on the weights, three rounds.
    """
    prior = np.full(3, PRIOR_WEIGHT)
    weights = prior
    if not defectives:
        return tuple((weights / weights.sum()).tolist())
    images = [np.stack([grid.ravel() for grid in z], axis=1) for z in normals]
    images += [
        np.stack([grid[on_defect] for grid in z], axis=1)
        for z, on_defect in zip(defectives, cells, strict=True)
    ]
    for _ in range(3):
        tops = [x[np.argsort(-(x @ weights), kind="stable")[:TOP_PATCHES]] for x in images]
        counts = np.array([len(top) for top in tops])
        is_defective = np.arange(len(images)) >= len(normals)
        share = np.where(is_defective, 0.5 / len(defectives), 0.5 / len(normals)) / counts
        weights, _ = fit_logistic(
            np.concatenate(tops).astype(np.float64),
            np.repeat(is_defective, counts),
            np.repeat(share, counts),
            PRIOR_IMAGES / len(defectives),
            prior,
            nonnegative=True,
        )
    if weights.sum() <= 0:  # nothing helps: what is unfamiliar is all there is
        return (1.0, 0.0, 0.0)
    return tuple((weights / weights.sum()).tolist())


def _json_number(value: float) -> float | str:
    """JSON knows no infinity; `float` reads this one."""
    return "Infinity" if np.isinf(value) else value


def _log_normal(evidence: Evidence) -> np.ndarray:
    return np.log(np.maximum(evidence.normal.distance, np.float32(_SMALLEST)))


def _log_odds(evidence: Evidence) -> np.ndarray:
    assert evidence.logit is not None, "the detector gives a probe with every defect bank"
    return evidence.logit


def _defect_distance(evidence: Evidence) -> np.ndarray:
    assert evidence.defect is not None, "asked for only where there is a defect bank"
    return evidence.defect.distance
