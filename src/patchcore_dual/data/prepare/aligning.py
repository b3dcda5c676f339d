"""How much the parts of a data set move, and the reference that `prepare` aligns them to."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from patchcore_dual.data.alignment import (
    LEAST_COMMON,
    MAX_SHIFT,
    MAX_TURN,
    Aligner,
    Mode,
    check_limits,
    frame_of,
)
from patchcore_dual.data.manifest import PREPARATION_NAME, Manifest
from patchcore_dual.data.prepare.placement import Placed
from patchcore_dual.data.prepare.sizes import CELL
from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.data.resizing import MAX_DISTORTION, distortion
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.utils.motion import Motion
from patchcore_dual.utils.progress import Progress

REFERENCE_NAME = "alignment.png"
SAMPLE = 24  # good training images on which motion is measured
_CANDIDATES = {"none": 4, "translation": 12, "rigid": 12}  # for a reference, by mode
_COMPARED = 12  # images that each is compared with
_LEAST_IMAGES, _LEAST_SIDE = 3, 32
_NEARLY = 0.05  # of confidence, by which a reference may be less like the others to lie amid them

Size = tuple[int, int]


@dataclass(frozen=True)
class AlignmentRule:
    """How parts are to be aligned.

    Attributes:
        mode: "none", "translation" or "rigid".
        reference: an image file that they are aligned to; None for the good training image that is
            most like the others.
        max_shift: the largest shift each way, as a share of the shorter side.
        max_turn: the largest turn each way, in degrees.

    Raises:
        SettingsError: for limits out of range, or a reference that nothing is aligned to.
    """

    mode: Literal["none", "translation", "rigid"] = "none"
    reference: Path | None = None
    max_shift: float = MAX_SHIFT
    max_turn: float = MAX_TURN

    def __post_init__(self) -> None:
        check_limits(self.max_shift, self.max_turn)
        limits = self.max_shift, self.max_turn
        if self.mode == "none" and (self.reference or limits != (MAX_SHIFT, MAX_TURN)):
            raise SettingsError(
                "a reference or limits were given, but parts are not aligned. Add --align "
                "translation or --align rigid."
            )


@dataclass(frozen=True)
class Moves:
    """How much good parts move, measured on some of them against one.

    Attributes:
        images: number of images that were measured.
        reference: the image that they were measured against.
        likeness: how much they are like it after alignment, the median correlation.
        shift: median and 95th percentile, in pixels of the photographs.
        turn: likewise, in degrees.
        displacement: likewise, of the corner that moves most, in pixels of the prepared images.
    """

    images: int
    reference: str
    likeness: float
    shift: tuple[float, float]
    turn: tuple[float, float]
    displacement: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values; no motion where the images have too little in common to measure it."""
        facts = asdict(self)
        if self.likeness < LEAST_COMMON:
            facts |= {"shift": None, "turn": None, "displacement": None}
        return facts

    def __str__(self) -> str:
        measured = f"{self.images} good images against {self.reference}"
        if self.likeness < LEAST_COMMON:
            return (
                f"Motion of parts: not measurable ({measured}: correlation {self.likeness:.2f}, as "
                "where every part has a texture of its own); there is nothing to align them to."
            )
        (shift, far), (turn, wide), (_, most) = self.shift, self.turn, self.displacement
        line = (
            f"Motion of parts: {shift:.1f} pixels and {turn:.1f}° (median), {far:.1f} pixels and "
            f"{wide:.1f}° (95th percentile) ({measured})"
        )
        if most > CELL:
            return (
                f"{line}. They move by up to {most:.0f} pixels of the prepared images, more than "
                f"the {CELL}-pixel cells of a model: --align auto tries whether aligning pays."
            )
        return f"{line}. That is less than the {CELL}-pixel cells of a model: no need to align."


class _Seen(NamedTuple):
    """A photograph as motion is measured in it, and its width and height."""

    name: str
    frame: np.ndarray
    size: Size


def measure(
    placed: Sequence[Placed],
    size: Size,
    bit_depth: int | None,
    rule: AlignmentRule,
    progress: Progress,
) -> tuple[Aligner | None, Moves | None]:
    """Choose the reference, and measure how much good training images move against it.

    Args:
        placed: all images.
        size: about the width and height of the prepared images.
        bit_depth: of 16-bit files.
        rule: how the images are to be aligned.
        progress: called after each image.

    Returns:
        What aligns images, None for "none"; and how much they move, None where there are too few or
        too small images to say.

    Raises:
        DataError: where the images are to be aligned and cannot be.
        ImageError: where the reference cannot be read.
    """
    mode: Mode = "rigid" if rule.mode == "none" else rule.mode
    seen = _sample(placed, bit_depth, progress)
    limits = {"max_shift": rule.max_shift, "max_turn": rule.max_turn}
    if rule.reference is not None:
        image = read_image(rule.reference, bit_depth)
        own = image.shape[1], image.shape[0]
        if seen and distortion(seen[0].size, own) > MAX_DISTORTION:
            (width, height), name = seen[0].size, seen[0].name
            raise DataError(
                f"the reference {rule.reference} is {own[0]}x{own[1]}, and {name} is "
                f"{width}x{height}: it has to have the proportions of the images."
            )
        aligner = Aligner(frame_of(image), mode, **limits, source=str(rule.reference))
    elif len(seen) < _LEAST_IMAGES or min(seen[0].frame.shape) < _LEAST_SIDE:
        if rule.mode == "none":
            return None, None
        raise DataError(
            f"parts cannot be aligned: there are {len(seen)} good training images, and at least "
            f"{_LEAST_IMAGES} of at least {_LEAST_SIDE} pixels a side are needed."
        )
    else:
        found = _medoid(seen, mode, limits, _CANDIDATES[rule.mode])
        if found is None:
            if rule.mode == "none":
                return None, None
            raise DataError("parts cannot be aligned: the good images are blank, or nearly so.")
        aligner = found
    others = [one for one in seen if one.name != aligner.source]
    motions = [aligner.find(one.frame, one.size) for one in others]
    moves = _moves(aligner, others, motions, size)
    if rule.mode == "none":
        return None, moves
    if not motions:
        raise DataError("parts cannot be aligned: there are no good training images to try it on.")
    return aligner.with_usual([m.confidence for m in motions]), moves


def _sample(placed: Sequence[Placed], bit_depth: int | None, progress: Progress) -> list[_Seen]:
    good = [p.scan for p in placed if p.scan.label == "negative" and p.split == "train"]
    steps = np.linspace(0, len(good) - 1, min(SAMPLE, len(good))).round().astype(int)
    chosen, seen = [good[i] for i in steps.tolist()], []
    for done, scan in enumerate(chosen):
        progress("measuring motion", done, len(chosen))
        frame = frame_of(read_image(scan.sample.image, bit_depth))
        seen.append(_Seen(scan.name, frame, (scan.width, scan.height)))
    progress("measuring motion", len(chosen), len(chosen))
    return seen


def _medoid(
    seen: Sequence[_Seen], mode: Mode, limits: dict[str, float], candidates: int
) -> Aligner | None:
    """The image that is most like the others, and of those that are nearly so lies amid them."""
    tried: list[tuple[float, float, Aligner]] = []
    compared = seen[:: max(1, len(seen) // _COMPARED)]
    for one in seen[:: max(1, len(seen) // candidates)]:
        try:
            aligner = Aligner(one.frame, mode, **limits, source=one.name)
        except DataError:  # blank
            continue
        motions = [aligner.find(s.frame, s.size) for s in compared if s.name != one.name]
        likeness = float(np.median([m.confidence for m in motions]))
        tried.append((likeness, float(np.median([m.shift for m in motions])), aligner))
    if not tried:
        return None
    best = max(likeness for likeness, _, _ in tried)
    near = [(shift, aligner) for likeness, shift, aligner in tried if likeness >= best - _NEARLY]
    return min(near, key=lambda one: one[0])[1]


def _moves(
    aligner: Aligner, seen: Sequence[_Seen], motions: Sequence[Motion], size: Size
) -> Moves | None:
    if not motions:
        return None
    displaced = []
    for (_, _, (width, height)), motion in zip(seen, motions, strict=True):
        by_turn = math.radians(abs(motion.turn)) * math.hypot(width, height) / 2
        displaced.append((motion.shift + by_turn) * math.sqrt(size[0] * size[1] / width / height))

    def spread(values: Sequence[float]) -> tuple[float, float]:
        return round(float(np.median(values)), 2), round(float(np.quantile(values, 0.95)), 2)

    return Moves(
        len(motions),
        aligner.source,
        round(float(np.median([m.confidence for m in motions])), 3),
        spread([m.shift for m in motions]),
        spread([abs(m.turn) for m in motions]),
        spread(displaced),
    )


def store(aligner: Aligner, folder: Path) -> dict[str, Any]:
    """Write the reference into a prepared folder; the rest, for `preparation.json`."""
    write_png(folder / REFERENCE_NAME, aligner.reference)
    return aligner.settings()


def aligner_of(manifest: Manifest) -> Aligner | None:
    """What aligned the images of a prepared folder; None where they were not aligned.

    Raises:
        DataError: where the reference is missing or damaged.
    """
    stored = manifest.preparation().get("alignment")
    if stored is None:
        return None
    path = manifest.folder / REFERENCE_NAME
    try:
        return Aligner(np.ascontiguousarray(read_image(path)[..., 0]), **stored)
    except (TypeError, SettingsError):
        path = manifest.folder / PREPARATION_NAME
        raise DataError(f"{path} is damaged. Prepare the data set again.") from None
