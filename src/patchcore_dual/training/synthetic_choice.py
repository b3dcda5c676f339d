"""Whether synthetic defects help: asked of the training images, by cross-validation.

For each number of synthetic images (nested subsets) a model is fitted, and the real defective
training images are scored as if they were new: banks, probe and places without their fold, and
without every synthetic image that one of that fold's images is a parent of. The normal banks are
the same for all, so this costs a few refits of the defect bank.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.subsets import choose_synthetic
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import SettingsError
from patchcore_dual.scoring import RULES
from patchcore_dual.scoring.fusion.guard import mean_recall
from patchcore_dual.training.banks import NormalBanks
from patchcore_dual.utils.progress import Progress, silent

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


def check_synthetic_choice(detector: PatchCoreDual, manifest: Manifest) -> None:
    """Raise SettingsError where the rule does not score defective images when it is fitted, or
    where the manifest has no synthetic images."""
    if not RULES[detector.settings.scoring].uses_probe:
        raise SettingsError(
            f"--synthetic best: {detector.settings.scoring} does not hold defective images out. "
            "Use --scoring calibrated, or say how many."
        )
    if not len(manifest.part(split="train").synthetic()):
        raise SettingsError(
            f"--synthetic best: {manifest.folder} has no synthetic images to choose from. "
            "Make some with: patchcore-dual augment"
        )


def choose_synthetic_count(
    detector: PatchCoreDual, manifest: Manifest, banks: NormalBanks, progress: Progress = silent
) -> SyntheticGain:
    """Try none, a quarter, half, three quarters and all of the synthetic training images.

    Args:
        detector: gives backbone and settings; it is not fitted.
        banks: the normal banks of its training images.

    Raises SettingsError; see `check_synthetic_choice`.
    """
    check_synthetic_choice(detector, manifest)
    training_set = manifest.part(split="train")
    total = len(training_set.synthetic())
    counts = sorted({round(share * total) for share in SHARES})
    found = []
    for count in counts:
        fitted = detector.with_settings().fit(
            choose_synthetic(training_set, count), progress, banks
        )
        table = fitted.model.held_out
        found.append(mean_recall(table.defect_scores, table.scores))
    return summarise_gain(counts, found)


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
