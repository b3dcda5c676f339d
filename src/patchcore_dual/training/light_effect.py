"""What small changes of light do to a model, measured on some of its good training images.

Each image is scored unchanged and changed, by the normal bank without its fold. The difference of
both scores is then added to the held-out scores of all good images, which says how many of them
would be rejected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patchcore_dual.data.light import CHANGES, change_light
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.model import CalibrationSet, Model
from patchcore_dual.scoring import gather_evidence
from patchcore_dual.training.context import FitContext
from patchcore_dual.training.normal_banks import NormalBanks

MOST_IMAGES, LEAST_IMAGES = 24, 3
SHARE_OF_IMAGES = 1 / 120  # so that the measurement stays a few per cent of the fit


@dataclass(frozen=True)
class LightEffect:
    """What one change of light does to good images.

    Attributes:
        rise: median difference of the image score, in units of the score.
        rejected: expected share of good images that is rejected in that light.
    """

    rise: float
    rejected: float


def measure_light(
    context: FitContext,
    training_set: Manifest,
    banks: NormalBanks,
    model: Model,
    images: int | None = None,
) -> dict[str, LightEffect]:
    """What each change of light does to the scores of good images.

    Args:
        training_set: the images that the model was fitted on.
        banks: its normal banks, with those of each fold.
        model: with its calibration set.
        images: how many good images are changed, at most; None for few, in proportion to them all.

    Returns:
        By name of the change; first "unchanged", whose rise is 0. Empty without a calibration set.
    """
    calibration = model.calibration
    if calibration is None or not len(banks.without_fold):
        return {}
    normals = training_set.part(label="negative").samples
    samples = some_images(normals, banks.fold_of, images)
    changes = possible_changes(training_set)
    scores: dict[str, list[float]] = {name: [] for name in ("unchanged", *changes)}
    for i, sample in enumerate(samples):
        image, embed = training_set.read_image(sample), context.embed_in(training_set, sample)
        bank = banks.without_fold[banks.fold_of[sample.image]]
        for change, found in scores.items():
            lit = image if change == "unchanged" else change_light(image, change, seed=i)
            evidence = gather_evidence(
                embed(lit), bank, model.defect_bank, model.probe, model.rule.weighted
            )
            found.append(float(model.rule(evidence).score))
        context.progress("what changes of light do", i + 1, len(samples))
    return effects(
        {name: np.array(found) for name, found in scores.items()},
        held_out_originals(calibration, model),
        model.thresholds.image.value,
    )


def held_out_originals(calibration: CalibrationSet, model: Model) -> np.ndarray:
    """float64 `[n]`, the held-out scores of the good images in their own light."""
    scores = calibration.scores(model.rule)[0]
    return scores[[name in calibration.sha256 for name in calibration.normals]]


def possible_changes(training_set: Manifest) -> tuple[str, ...]:
    """The changes that can happen to these images: a grey camera has no balance of colours."""
    samples = training_set.part(label="negative").samples[:LEAST_IMAGES]
    images = (training_set.read_image(sample) for sample in samples)
    is_grey = all((image == image[..., :1]).all() for image in images)
    return tuple(name for name in CHANGES if not (is_grey and name == "colour"))


def some_images(
    samples: Sequence[Sample], fold_of: Mapping[str, int], most: int | None
) -> list[Sample]:
    """An even draw of the good images, fold by fold, so that each fold's bank is made once."""
    count = most or int(np.clip(len(samples) * SHARE_OF_IMAGES, LEAST_IMAGES, MOST_IMAGES))
    steps = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)
    return sorted((samples[i] for i in steps.tolist()), key=lambda s: fold_of[s.image])


def effects(
    scores: Mapping[str, np.ndarray], held_out: np.ndarray, threshold: float
) -> dict[str, LightEffect]:
    """The effect of each change, from the scores of some images.

    Args:
        scores: `[k]` by change, of the same images, "unchanged" among them.
        held_out: `[n]`, held-out scores of all good images, unchanged.
        threshold: an image is rejected above it.

    >>> held_out = np.arange(10.0)
    >>> scores = {"unchanged": np.array([3.0, 4.0]), "darker": np.array([5.0, 6.0])}
    >>> effects(scores, held_out, threshold=8.0)["darker"]
    LightEffect(rise=2.0, rejected=0.3)
    """
    differences = {name: found - scores["unchanged"] for name, found in scores.items()}
    return {
        name: LightEffect(
            float(np.median(by)), float((held_out[:, None] + by[None] > threshold).mean())
        )
        for name, by in differences.items()
    }
