"""Which light variants of good images to fit on, by cross-fitting on the training images.

They are of those changes that make the model without them reject good images. How many each image
gets is tried, each with its own normal banks of the same size, calibrated with the variants
among its good images. That with the fewest false alarms on held-out good images in other light is
kept, of those that find held-out defects in their own light as well as before, up to noise: at the
plan's own threshold, and on average over false-alarm rates.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patchcore_dual.data.light import DESCRIPTIONS, LightPlan
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import SettingsError
from patchcore_dual.model import Model
from patchcore_dual.scoring.fusion.guard import mean_recall
from patchcore_dual.training.first_steps import FirstSteps
from patchcore_dual.training.light_effect import (
    MOST_IMAGES,
    LightEffect,
    held_out_originals,
    measure_light,
)
from patchcore_dual.training.normal_banks import build_normal_banks
from patchcore_dual.training.single_fit import fit_model

EACH = (1, 2)  # variants of each good image that are tried
LEAST_NORMALS, LEAST_DEFECTIVES = 10, 3
TOLERANCE = 0.02  # loss of recall that is accepted as noise, as by the guard,
NOISE = 2  # or so many of its standard errors

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LightTrial:
    """What so many variants of each good image gave on held-out training images.

    Attributes:
        each: variants of each good image.
        false_alarms: share of good images rejected in other light, the mean of all changes.
        unchanged: the same in their own light.
        recall: share of defective images rejected, in their own light; None with too few.
        mean_recall: recall averaged over false-alarm rates from 0 to 10 %, likewise.
        loss, error: of one of the two, by how much less it is than without variants, and the
            standard error; of the two, the one that is more beyond its noise.
    """

    each: int
    false_alarms: float
    unchanged: float
    recall: float | None = None
    mean_recall: float | None = None
    loss: float = 0.0
    error: float = 0.0


@dataclass(frozen=True)
class LightChoice:
    """Which light variants were chosen, and why.

    Attributes:
        changes: the changes of light that do harm, of which variants were tried.
        trials: the first without variants.
        defects: number of held-out defective images that could be compared.
        kept: variants of each good image; 0 where none help.
    """

    changes: tuple[str, ...]
    trials: tuple[LightTrial, ...]
    defects: int
    kept: int

    def __str__(self) -> str:
        if not self.changes:
            return (
                "Robust to light: no variants are needed, since no change rejects more good parts."
            )
        of = ", ".join(DESCRIPTIONS.get(name, name) for name in self.changes)
        verdict = (
            f"{self.kept} variant{'s' if self.kept > 1 else ''} of each good image"
            if self.kept
            else "no variants, since none lower false alarms and find as many defects"
        )
        lines = [f"Robust to light ({of}): {verdict}. Of held-out training images, by variants:"]
        for t in self.trials:
            found = (
                f"; defects found {t.recall:.1%}, up to 10 % false alarms {t.mean_recall:.3f}"
                if t.recall is not None
                else ""
            )
            lines.append(
                f"  {t.each}: false alarms {t.false_alarms:.1%} in other light, {t.unchanged:.1%} "
                f"unchanged{found}"
            )
        if not self.defects:
            lines.append("  What that costs in defects found cannot be told: too few are known.")
        return "\n".join(lines)


def check_light_choice(training_set: Manifest) -> None:
    """Raise SettingsError where too few good images are there to choose by."""
    count = len(training_set.part(label="negative"))
    if count < LEAST_NORMALS:
        raise SettingsError(
            f"--robust light tries its variants on held-out good images, which takes at least "
            f"{LEAST_NORMALS}; there are {count}. Add good images, or fit without it."
        )


def choose_light(
    first: FirstSteps, training_set: Manifest
) -> tuple[LightChoice, Model, dict[str, LightEffect]]:
    """Try some numbers of variants.

    Args:
        first: the first steps of the fit without variants.
        training_set: the images to fit on, synthetic ones included.

    Returns:
        The choice, and of what is kept the model and what changes of light do to it.
    """
    model = first.model(training_set)
    effects = measure_light(first.context, training_set, first.banks, model, MOST_IMAGES)
    changes = harmful(effects, first.context.settings.false_alarm_rate)
    each, measured, found = [0], [mean_false_alarms(effects)], [_found(model)]
    choice = summarise_light(changes, each, measured, found)
    for n in (n for n in EACH if n <= len(changes)):
        _log.info("Trying %d light variants of each good image: %s.", n, ", ".join(changes))
        context = first.context.in_light(LightPlan(changes, n))
        try:
            banks = build_normal_banks(context, training_set)
        except SettingsError as error:  # so many patches need more than the memory limit
            _log.warning("Not tried: %s", error)
            break
        tried = fit_model(context, training_set, banks, first.pseudo_masks, embedder=first.embedder)
        own = measure_light(context, training_set, banks, tried, MOST_IMAGES)
        each.append(n)
        measured.append(mean_false_alarms(own))
        found.append(_found(tried))
        choice = summarise_light(changes, each, measured, found)
        if choice.kept == n:  # the other one need not be held in memory
            model, effects = tried, own
    return choice, model, effects


def _found(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Of each held-out defective image, whether it is rejected, and its mean recall."""
    calibration = model.calibration
    assert calibration is not None, "a model that was just fitted has one"
    normal = held_out_originals(calibration, model)
    defective = calibration.scores(model.rule)[1]
    return defective > model.thresholds.image.value, mean_recall(defective, normal)


def harmful(effects: Mapping[str, LightEffect], rate: float) -> tuple[str, ...]:
    """The changes by which more good images are rejected than before, by more than a rate.

    >>> measured = {"unchanged": 0.01, "darker": 0.015, "blur": 0.2}
    >>> harmful({name: LightEffect(0, share) for name, share in measured.items()}, rate=0.01)
    ('blur',)
    """
    usual = effects["unchanged"].rejected
    return tuple(name for name, one in effects.items() if one.rejected > usual + rate)


def mean_false_alarms(effects: Mapping[str, LightEffect]) -> tuple[float, float]:
    """The share of good images rejected in other light, the mean of all changes; and unchanged."""
    other = [one.rejected for name, one in effects.items() if name != "unchanged"]
    return float(np.mean(other)), effects["unchanged"].rejected


def summarise_light(
    changes: Sequence[str],
    each: Sequence[int],
    measured: Sequence[tuple[float, float]],
    found: Sequence[tuple[np.ndarray, np.ndarray]],
) -> LightChoice:
    """The decision.

    Args:
        changes: names of the changes of light.
        each: variants of each good image, ascending from 0.
        measured: for each, the false alarms in other light and unchanged.
        found: for each, of the same held-out defective images: bool `[k]`, whether it is rejected,
            and float `[k]`, its recall averaged over false-alarm rates.

    >>> hit, missed = np.ones(4), np.zeros(4)
    >>> rates = [(0.2, 0.01), (0.05, 0.01), (0.03, 0.01)]
    >>> same = [(hit > 0, hit)] * 3
    >>> summarise_light(["darker"], [0, 1, 2], rates, same).kept
    2
    >>> summarise_light(["darker"], [0, 1, 2], rates, [*same[:2], (missed > 0, missed)]).kept
    1
    """
    defects = min(len(rejected) for rejected, _ in found)
    if defects < LEAST_DEFECTIVES or any(len(rejected) != defects for rejected, _ in found):
        defects = 0
    trials = []
    for n, (false_alarms, unchanged), (rejected, ranked) in zip(each, measured, found, strict=True):
        if not defects:
            trials.append(LightTrial(n, false_alarms, unchanged))
            continue
        losses = [found[0][0].astype(float) - rejected, found[0][1] - ranked]
        loss, error = max(
            ((float(d.mean()), float(d.std(ddof=1) / np.sqrt(defects))) for d in losses),
            key=lambda pair: pair[0] - max(TOLERANCE, NOISE * pair[1]),
        )
        trials.append(
            LightTrial(
                n,
                false_alarms,
                unchanged,
                float(rejected.mean()),
                float(ranked.mean()),
                loss,
                error,
            )
        )
    safe = [t for t in trials if t.loss <= max(TOLERANCE, NOISE * t.error)]
    best = min(safe, key=lambda t: (t.false_alarms, t.each))
    return LightChoice(tuple(changes), tuple(trials), defects, best.each)
