"""How many synthetic defects to train on, by cross-validation on the training images.

For each number of synthetic images (nested subsets) a model is fitted, and the real defective
training images are scored out of fold: banks, probe and position statistics lack their fold, and
all synthetic images that are derived from it. The normal banks are the same for all, so this costs
a few refits of the defect bank.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.subsets import choose_synthetic
from patchcore_dual.errors import SettingsError
from patchcore_dual.scoring import RULES
from patchcore_dual.scoring.fusion.guard import mean_recall
from patchcore_dual.settings import Settings

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class SyntheticGain:
    """What adding synthetic defects does to held-out training images.

    Attributes:
        counts: how many synthetic images were tried, from 0 to all.
        recalls: for each, recall on held-out defective images, averaged over false-alarm rates
            from 0 to 10 %.
        gains, errors: for each, the paired difference to no synthetic images and its standard
            error.
        images: how many defective images could be held out.
        kept: the number to use: the best where its gain exceeds its standard error, else 0;
            all where too few defects are known to tell.
    """

    counts: tuple[int, ...]
    recalls: tuple[float, ...]
    gains: tuple[float, ...]
    errors: tuple[float, ...]
    images: int
    kept: int

    def __str__(self) -> str:
        total = self.counts[-1]
        if not self.images:
            return (
                f"Synthetic images: all {total} are used. Whether they help cannot be told: it "
                "takes real defects of at least two parts to hold some out."
            )
        verdict = f"keep {self.kept} of {total}" if self.kept else "none helps here"
        tried = ", ".join(
            f"{n}: {recall:.3f}" + (f" ({gain:+.3f} ± {error:.3f})" if n else "")
            for n, recall, gain, error in zip(
                self.counts, self.recalls, self.gains, self.errors, strict=True
            )
        )
        return (
            f"Synthetic images: {verdict}. Mean recall at up to 10 % false alarms on {self.images} "
            f"held-out real defective images, by number of synthetic ones: {tried}."
        )


def check_synthetic_choice(settings: Settings, training_set: Manifest) -> None:
    """Raise SettingsError where nothing can be chosen.

    That is where the rule is not fitted on defective images, or there are no synthetic ones.
    """
    if not RULES[settings.scoring].uses_probe:
        raise SettingsError(
            f"--synthetic best: {settings.scoring} does not hold defective images out. "
            "Use --scoring calibrated, or give a number."
        )
    if not len(training_set.synthetic()):
        raise SettingsError(
            f"--synthetic best: {training_set.folder} has no synthetic images to choose from. "
            "Make some with: patchcore-dual augment"
        )


def choose_synthetic_count(
    score: Callable[[Manifest], tuple[np.ndarray, np.ndarray]], training_set: Manifest
) -> SyntheticGain:
    """Try none, a quarter, half, three quarters and all of the synthetic training images.

    Args:
        score: fits a model on a training set and gives the out-of-fold scores of its normal
            images, and of its real defective ones.
    """
    total = len(training_set.synthetic())
    counts = sorted({round(share * total) for share in SHARES})
    recalls = []
    for count in counts:
        normal, defective = score(choose_synthetic(training_set, count))
        recalls.append(mean_recall(defective, normal))
    return summarise_gain(counts, recalls)


def summarise_gain(counts: Sequence[int], recalls: Sequence[np.ndarray]) -> SyntheticGain:
    """The decision.

    Args:
        counts: numbers of synthetic images, ascending from 0.
        recalls: for each, float `[k]`, the same held-out defective images.
    """
    images = min(len(r) for r in recalls)
    if images < 2 or any(len(r) != images for r in recalls):
        nothing = tuple(float("nan") for _ in counts)
        return SyntheticGain(tuple(counts), nothing, nothing, nothing, 0, counts[-1])
    differences = [r - recalls[0] for r in recalls]
    gains = [float(d.mean()) for d in differences]
    errors = [float(d.std(ddof=1) / np.sqrt(images)) for d in differences]
    best = int(np.argmax(gains))
    return SyntheticGain(
        tuple(counts),
        tuple(float(r.mean()) for r in recalls),
        tuple(gains),
        tuple(errors),
        images,
        counts[best] if gains[best] > errors[best] else 0,
    )
