"""`Preview`: what a teaching changes, shown before it is accepted, and whether it costs much."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from patchcore_dual.data.inputs import read_input
from patchcore_dual.errors import DataError
from patchcore_dual.features import EmbedImage
from patchcore_dual.features.inspected import restricted
from patchcore_dual.live.held_out import HeldOut, held_out_results, recall, recall_left_out
from patchcore_dual.live.images import CalibrationImages
from patchcore_dual.live.lessons import verdict_of
from patchcore_dual.live.recalibration import TrainingState
from patchcore_dual.live.teaching import Teaching
from patchcore_dual.model import Model
from patchcore_dual.scoring import OperatingPoint, gather_evidence, operating_point
from patchcore_dual.scoring.thresholds import percent
from patchcore_dual.utils.files import file_sha256
from patchcore_dual.utils.progress import Progress, silent

MAX_LOSS = 0.02  # of recall
SHOWN = 10  # changes of verdict that are printed of each sort
_ROUNDING = 1e-9

BeforeAfter = tuple[float | None, float | None]


class Change(NamedTuple):
    """The verdict on one image by the model before and after.

    Attributes:
        image: its name.
        is_defect: what it shows; None where nobody said.
        before, after: "pass", "review" or "reject".
        score_before, score_after: its image scores.
    """

    image: str
    is_defect: bool | None
    before: str
    after: str
    score_before: float
    score_after: float

    def __str__(self) -> str:
        scores = f"score {self.score_before:.3g} → {self.score_after:.3g}"
        return f"{self.image}: {self.before} → {self.after}, {scores}"


@dataclass(frozen=True)
class Preview:
    """What a teaching changes.

    Attributes:
        taught: the verdicts on the images that are taught or removed. One model knows them, so they
            say whether the teaching works, not how well new images are judged.
        calibration: the calibration images whose held-out verdict changes.
        inspected: the recently inspected images whose verdict changes.
        n_inspected: how many of those were looked at; None where no log was given.
        before, after: what the thresholds do, by all calibration images of each model.
        recall_known: recall on held-out known defects before and after, on the images of both.
        recall_left_out: the same with their kind left out; None where kinds are not the same.
        inspected_share: the share of each image that is inspected, before and after.
        defects_outside: training images whose defects lie wholly outside the region of interest.
        n_known: real defective training images that the model before learned from.
        max_loss: of either recall, beyond which it is refused.
        gained_normal, gained_defect: vectors that the banks gain.
        approximations: what a fit would do otherwise, in sentences.
    """

    taught: tuple[Change, ...]
    calibration: tuple[Change, ...]
    inspected: tuple[Change, ...]
    n_inspected: int | None
    before: OperatingPoint
    after: OperatingPoint
    recall_known: BeforeAfter
    recall_left_out: BeforeAfter
    inspected_share: tuple[float, float]
    defects_outside: tuple[int, int]
    n_known: int
    max_loss: float
    gained_normal: int
    gained_defect: int
    approximations: tuple[str, ...]

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why it costs more than is allowed, in sentences; nothing where it does not."""
        reasons = []
        for what, (before, after) in (
            ("known defects", self.recall_known),
            ("defects of kinds that were left out", self.recall_left_out),
        ):
            if before is None or after is None or before - after <= self.max_loss + _ROUNDING:
                continue
            reasons.append(
                f"Recall on {what} would fall from {before:.2f} to {after:.2f}, by more than "
                f"{self.max_loss:g}."
            )
        outside = self.defects_outside[1] - self.defects_outside[0]
        if outside > (self.max_loss + _ROUNDING) * self.n_known:
            reasons.append(
                f"{outside} of {self.n_known} known defects would lie wholly outside, where "
                "nothing is found."
            )
        was, now = self.before.threshold, self.after.threshold
        if now.promised > max(now.asked, was.promised) + _ROUNDING:
            reasons.append(
                f"The promised false-alarm rate would rise from {percent(was.promised)} to "
                f"{percent(now.promised)}, above the {percent(now.asked)} that was asked for."
            )
        return tuple(reasons)

    def effects(self) -> dict[str, tuple[float | None, float | None]]:
        """The figures before and after, by what they measure."""
        was, now = self.before, self.after
        of_region: dict[str, tuple[float | None, float | None]] = {}
        if self.inspected_share[0] != self.inspected_share[1]:
            of_region = {
                "share inspected": self.inspected_share,
                "defects outside": self.defects_outside,
            }
        return {
            **of_region,
            "threshold": (was.threshold.value, now.threshold.value),
            "false alarms expected": (was.threshold.expected, now.threshold.expected),
            "false alarms promised": (was.threshold.promised, now.threshold.promised),
            "recall on known defects": self.recall_known,
            "recall on left-out kinds": self.recall_left_out,
        }

    def to_json(self) -> dict[str, Any]:
        """All of it as values for `json.dumps`."""
        return {
            **{
                name: [change._asdict() for change in getattr(self, name)]
                for name in ("taught", "calibration", "inspected")
            },
            "n_inspected": self.n_inspected,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "effects": self.effects(),
            "gained_normal": self.gained_normal,
            "gained_defect": self.gained_defect,
            "approximations": self.approximations,
            "refusals": self.refusals,
        }

    def __str__(self) -> str:
        """The figures before and after, and every image whose verdict changes, line by line."""
        lines = [str(change) for change in self.taught]
        gains = [
            f"{gain:+d} {name}"
            for name, gain in (("normal", self.gained_normal), ("defect", self.gained_defect))
            if gain
        ]
        lines.append(f"Patches in the banks: {', '.join(gains) or 'as before'}.")
        for name, (before, after) in self.effects().items():
            if before is None and after is None:
                continue
            is_share = name.startswith(("false", "share"))
            show: Callable[[float], str] = percent if is_share else "{:.3g}".format
            was, now = ("unknown" if v is None else show(v) for v in (before, after))
            lines.append(f"{name[0].upper()}{name[1:]}: {was} → {now}")
        lines += self._listed(self.calibration, "calibration images, held out,")
        if self.n_inspected is not None:
            lines += self._listed(self.inspected, f"the last {self.n_inspected} inspected images")
        return "\n".join([*lines, *self.approximations])

    @staticmethod
    def _listed(changes: tuple[Change, ...], what: str) -> Iterator[str]:
        if not changes:
            yield f"No verdict changes on {what}.".replace(",.", ".")
            return
        yield f"Verdicts that change on {what.rstrip(',')}: {len(changes)}"
        yield from (f"  {change}" for change in changes[:SHOWN])
        if len(changes) > SHOWN:
            yield f"  … and {len(changes) - SHOWN} more"


def preview(
    teaching: Teaching,
    embed: EmbedImage,
    images: CalibrationImages,
    *,
    inspected: Iterable[Path] | None = None,
    max_loss: float = MAX_LOSS,
    progress: Progress = silent,
) -> Preview:
    """Compare both models of a teaching.

    Args:
        embed: one image uint8 `[H, W, 3]` of the model's size to its patch features, as of
            `CalibrationImages`.
        images: of the model before.
        inspected: files that were inspected lately; None for no such list. Those that cannot be
            read any more, have other proportions than a region of interest, or are taught now, are
            left out.
        max_loss: of recall, beyond which the teaching is refused.
        progress: gets the stage and how far it is.
    """
    before, after = teaching.before, teaching.after
    looked_at = [] if inspected is None else _look_at(teaching, [*inspected], embed, progress)
    was, now = held_out_results(before), held_out_results(after)
    common = [name for name in was if name in now]
    known = [name for name in common if was[name].is_defect]
    return Preview(
        tuple(
            _change(name, is_defect, before, after, features, features)
            for name, is_defect, features in _subjects(teaching, images)
        ),
        tuple(_changed(_held_out_change(n, was[n], now[n]) for n in common)),
        tuple(_changed(looked_at)),
        None if inspected is None else len(looked_at),
        _operating_point(before),
        _operating_point(after),
        (recall(was, known), recall(now, known)),
        recall_left_out(before, after),
        (before.inspected_share, after.inspected_share),
        (before.defects_outside, after.defects_outside),
        before.trained_on.get("defective_images", 0) - before.defects_outside,
        max_loss,
        teaching.gained_normal,
        teaching.gained_defect,
        teaching.approximations,
    )


def _subjects(
    teaching: Teaching, images: CalibrationImages
) -> Iterator[tuple[str, bool, np.ndarray]]:
    """Name, whether it shows a defect, and features of each image that is taught or removed."""
    yield from ((one.name, one.is_defect, one.features) for one in teaching.taught)
    state = TrainingState.of(teaching.before, images) if teaching.removed else None
    for name in teaching.removed:
        if state is not None and name in state.normal:
            features = state.inspected(name, images.features(name))
            yield name, images.rows[name].label == "positive", features


def _held_out_change(name: str, was: HeldOut, now: HeldOut) -> Change:
    return Change(name, was.is_defect, was.verdict, now.verdict, was.score, now.score)


def _operating_point(model: Model) -> OperatingPoint:
    assert model.held_out is not None, "a model that is taught has a calibration set"
    return operating_point(model.held_out, model.thresholds.image)


def _look_at(
    teaching: Teaching, paths: list[Path], embed: EmbedImage, progress: Progress
) -> list[Change]:
    before, after = teaching.before, teaching.after
    taught = {one.sha256 for one in teaching.taught}
    changes = []
    for done, path in enumerate(paths, start=1):
        try:
            if not path.is_file() or file_sha256(path) in taught:
                continue
            image = read_input(path, before.size, bit_depth=before.bit_depth)
            image = image.aligned(before.aligner, before.roi)
            if image.motion is not None and image.motion.reason:  # no model inspects it
                continue
            features, shape = embed(image.resized), image.resized.shape
            seen = [restricted(features, shape, one.roi, image.region) for one in (before, after)]
        except (DataError, OSError):  # no longer there, being written, or not as the region is
            continue
        changes.append(_change(str(path), None, before, after, *seen))
        progress("images inspected lately", done, len(paths))
    return changes


def _change(
    name: str, is_defect: bool | None, before: Model, after: Model, *features: np.ndarray
) -> Change:
    """`features`: of the image as the model before sees it, and as the one after does."""
    verdicts, scores = [], []
    for model, seen in zip((before, after), features, strict=True):
        banks = model.normal_bank, model.defect_bank
        evidence = gather_evidence(seen, *banks, model.probe, model.rule.weighted)
        scores.append(float(model.rule(evidence).score))
        verdicts.append(verdict_of(model, evidence, scores[-1]))
    return Change(name, is_defect, verdicts[0], verdicts[1], scores[0], scores[1])


def _changed(changes: Iterable[Change]) -> Iterator[Change]:
    return (change for change in changes if change.before != change.after)
