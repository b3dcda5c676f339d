"""The training images that decide the threshold, and those whose label deserves a second look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from patchcore_dual.data.light import without_change
from patchcore_dual.model import Model
from patchcore_dual.scoring import HeldOutScores

SHOWN_BELOW = 5  # good images next below the threshold
LEAST_FOR_MEDIAN = 3  # images of a class whose median says what is usual for it


@dataclass(frozen=True)
class DecidingImage:
    """A training image and its held-out score.

    Attributes:
        image: its name in the manifest.
        score: by banks and a probe that were built without it.
        without: the threshold if it were calibrated without this image; None for images that do
            not take part in that (defective ones, and those set aside), and where the threshold
            was not set by a false-alarm rate.
    """

    image: str
    score: float
    without: float | None = None


@dataclass(frozen=True)
class DecidingImages:
    """What a person should look at before trusting a threshold.

    Attributes:
        at_threshold: the good images at or above the threshold and the five next below it, highest
            score first.
        like_defects: good images that score at least as high as half of the held-out defective
            images: perhaps mislabelled.
        nothing_found: defective images that score below half of the held-out good images.
        set_aside: good images that the model was fitted without since they are probably
            mislabelled, with their scores under it.

    >>> scores = np.arange(20.0)
    >>> found = deciding_images(
    ...     [f"good/{i}.png" for i in range(20)], scores, ["a.png", "b.png", "c.png"],
    ...     np.array([3.0, 18.0, 30.0]), false_alarm_rate=0.05,
    ... )
    >>> [(one.image, one.score, one.without) for one in found.at_threshold][:2]
    [('good/19.png', 19.0, 18.0), ('good/18.png', 18.0, 19.0)]
    >>> [one.image for one in found.like_defects], [one.image for one in found.nothing_found]
    (['good/19.png', 'good/18.png'], ['a.png'])
    """

    at_threshold: tuple[DecidingImage, ...]
    like_defects: tuple[DecidingImage, ...] = ()
    nothing_found: tuple[DecidingImage, ...] = ()
    set_aside: tuple[DecidingImage, ...] = ()

    def reasons(self) -> dict[str, tuple[DecidingImage, str]]:
        """By name, each image once, with why it is there, the likely mistakes first."""
        found: dict[str, tuple[DecidingImage, str]] = {}
        for one in self.set_aside:
            found[one.image] = one, "good, set aside: like a defect"
        for one in self.like_defects:
            found[one.image] = one, "good, scores like a defect"
        for one in self.nothing_found:
            found[one.image] = one, "defective, nothing found"
        for one in self.at_threshold:
            found.setdefault(one.image, (one, "good, near the threshold"))
        return found


def deciding_images(
    normals: Sequence[str],
    normal_scores: np.ndarray,
    defectives: Sequence[str],
    defective_scores: np.ndarray,
    *,
    false_alarm_rate: float,
    groups: Sequence[str] = (),
    threshold: float | None = None,
) -> DecidingImages:
    """Find the training images that decide the threshold or contradict their label.

    Args:
        normals: names of the held-out good images; those of light variants are that of the image.
        normal_scores: float64 `[n]`, their scores.
        defectives: names of the held-out defective images.
        defective_scores: float64 `[k]`, their scores.
        false_alarm_rate: the rate that was asked for.
        groups: the group of each good image; none where each is a group of its own.
        threshold: one that was set by recall or cost; None where it follows from the rate.

    Returns:
        The images. Those that contradict their label are named where both classes have at least
        three images.
    """
    by_rate = HeldOutScores(normal_scores, groups).threshold(false_alarm_rate).value
    if threshold is None:
        threshold = by_rate
    highest: dict[str, int] = {}  # of the variants of an image, that with the highest score
    for i in np.argsort(-normal_scores, kind="stable"):
        highest.setdefault(normals[i], int(i))
    order = np.array(list(highest.values()))
    shown = order[: int((normal_scores[order] >= threshold).sum()) + SHOWN_BELOW]

    def good(i: int) -> DecidingImage:
        others = np.array([name != normals[i] for name in normals])
        if threshold != by_rate or not others.any():
            return DecidingImage(normals[i], float(normal_scores[i]))
        rest = HeldOutScores(normal_scores[others], np.array(groups)[others] if len(groups) else ())
        without = rest.threshold(false_alarm_rate).value
        return DecidingImage(normals[i], float(normal_scores[i]), without)

    at_threshold = tuple(good(int(i)) for i in shown)
    if min(len(normals), len(defectives)) < LEAST_FOR_MEDIAN:
        return DecidingImages(at_threshold)
    usual_defect, usual_good = np.median(defective_scores), np.median(normal_scores)
    lowest_first = np.argsort(defective_scores, kind="stable")
    missed = [int(i) for i in lowest_first if defective_scores[i] < usual_good]
    return DecidingImages(
        at_threshold,
        tuple(good(int(i)) for i in order if normal_scores[i] >= usual_defect),
        tuple(DecidingImage(defectives[i], float(defective_scores[i])) for i in missed),
    )


def deciding_images_of(model: Model) -> DecidingImages:
    """The images that decide the threshold of a model, by its calibration set."""
    kept, results = model.calibration, model.held_out
    if kept is None or results is None:
        return DecidingImages(())
    scores: dict[str, float] = model.trained_on.get("set_aside", {})
    aside = tuple(DecidingImage(name, score) for name, score in scores.items())
    pairs = zip(kept.defectives, kept.evidence.defectives, strict=True)
    known = [name for name, one in pairs if one.is_known]
    found = deciding_images(
        [name if name in kept.sha256 else without_change(name) for name in kept.normals],
        results.normals.scores,
        known,
        results.known,
        false_alarm_rate=model.settings.false_alarm_rate,
        groups=kept.groups,
        threshold=model.thresholds.image.value,
    )
    return replace(found, set_aside=aside)


def sentences(found: DecidingImages, sources: Mapping[str, str], sheet: str = "") -> list[str]:
    """What was found, in sentences; empty where nothing was.

    Args:
        found: the images.
        sources: by name of an image, the file that the user knows.
        sheet: the picture of these images, if there is one.
    """
    lines = []

    def named(images: Sequence[DecidingImage]) -> str:
        some = ", ".join(
            f"{sources.get(one.image) or one.image} ({one.score:.4g})" for one in images[:5]
        )
        return some + (f" and {len(images) - 5} more" if len(images) > 5 else "")

    if found.set_aside:
        count = len(found.set_aside)
        lines.append(
            f"Set aside as probably mislabelled, {count} good image{'s' if count > 1 else ''}: "
            f"{named(found.set_aside)}. The model is fitted without them, since they look like the "
            "known defects. If they are good, fit again with: --keep-all"
        )
    if found.at_threshold:
        top = found.at_threshold[0]
        without = (
            f"; without the first it would be {top.without:.4g}" if top.without is not None else ""
        )
        lines.append(
            f"The threshold rests on the highest held-out scores of good images: "
            f"{named(found.at_threshold)}{without}."
        )
    if found.like_defects:
        lines.append(f"Good images that score like defects: {named(found.like_defects)}.")
    if found.nothing_found:
        lines.append(f"Defective images in which nothing is found: {named(found.nothing_found)}.")
    if lines:
        where = f" in {sheet}" if sheet else ""
        lines.append(
            f"  Look at them{where}. Where a label is wrong or a photograph spoiled, list the name "
            "in a file and fit again with: --exclude FILE. Leave good parts in: without them, more "
            "like them are rejected."
        )
    return lines
