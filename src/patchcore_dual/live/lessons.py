"""`Lesson`: one image that a user teaches; `LearnedImage`: the same, read, checked and embedded."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from patchcore_dual.banks.uninspected import uninspected
from patchcore_dual.data.duplicates import digest
from patchcore_dual.data.inputs import Image, InputImage, read_input
from patchcore_dual.data.mask_rule import MaskRule
from patchcore_dual.data.masks import read_mask
from patchcore_dual.data.resizing import resize_mask
from patchcore_dual.errors import DataError, ImageError, SettingsError
from patchcore_dual.features import EmbedImage
from patchcore_dual.features.defect_patches import covered_cells
from patchcore_dual.features.inspected import restricted
from patchcore_dual.live.images import CalibrationImages
from patchcore_dual.model import Model
from patchcore_dual.scoring import RuleOutput, gather_evidence
from patchcore_dual.scoring.evidence import Evidence
from patchcore_dual.training.pseudo_masks import mask_of_cells, region_of_peak
from patchcore_dual.utils.files import file_sha256

LARGEST_DEFECT = 0.5  # share of the image; a larger mask is taken for the part's
_ANY_MASK = MaskRule(large=True)  # what it marks is judged here


@dataclass(frozen=True, eq=False)
class Lesson:
    """An image, and what it shows.

    Attributes:
        image: of any size; it is resized to the model's.
        is_defect: whether it shows a defect; otherwise a good part.
        mask: the defect, a file as of `read_mask` or bool `[H, W]`, of the image's size; None
            proposes the region that stands out most.
        kind: of the defect ("crack"); "" where kinds are not named.
        group: the object in the image (a part, a lot), as in the manifest; images of one group are
            never scored by each other. "" where it is of no group that the model knows.
        name: what it is called; a file's path by default.

    >>> Lesson("part.png", is_defect=True, mask="mask.png", kind="crack").is_defect
    True
    """

    image: Image
    is_defect: bool
    mask: Path | str | np.ndarray | None = None
    kind: str = ""
    group: str = ""
    name: str = ""


@dataclass(frozen=True, eq=False)
class LearnedImage:
    """A lesson at the model's size, and how the model saw it before.

    Attributes:
        name: unique among the model's training images.
        label: "negative" or "positive", as in a manifest.
        kind, group: see `Lesson`.
        sha256: hex digest of its file, or of its pixels where it was no file.
        pixels: digest of `image`.
        original: uint8 `[H, W, 3]`, the image as it was given.
        image: uint8 `[h, w, 3]`, at the model's size.
        mask: bool `[h, w]`, the defect; None for a good part.
        is_proposed: whether the mask was proposed rather than given.
        features: float32 `[rows, columns, d]`.
        evidence, output: of the model before, in which it has no part.
        note: how it was read and resized, in words.
    """

    name: str
    label: Literal["negative", "positive"]
    kind: str
    group: str
    sha256: str
    pixels: str
    original: np.ndarray
    image: np.ndarray
    mask: np.ndarray | None
    is_proposed: bool
    features: np.ndarray
    evidence: Evidence
    output: RuleOutput
    note: str

    @property
    def is_defect(self) -> bool:
        """Whether it shows a defect."""
        return self.label == "positive"


def read_lesson(
    lesson: Lesson, model: Model, embed: EmbedImage, images: CalibrationImages
) -> LearnedImage:
    """Read, check and embed a lesson.

    Raises:
        ImageError: for an image or a mask that cannot be read.
        DataError: for an image that the model was trained or is tested on, and for a mask that is
            empty, of another size, or covers the part, and for an image that cannot be aligned.
        SettingsError: for a mask or kind of a good part.
    """
    if not lesson.is_defect and (lesson.mask is not None or lesson.kind):
        raise SettingsError("a good part has no defect: give no mask and no kind.")
    given = read_input(lesson.image, model.size, lesson.name, model.bit_depth)
    given, what = given.aligned(model.aligner, model.roi), given.name or "the image"
    if given.motion is not None and given.motion.reason:
        raise DataError(f"{what} cannot be taught: {given.motion.reason}.")
    pixels = digest(given.resized)
    is_file = isinstance(lesson.image, str | Path)
    sha256 = file_sha256(Path(str(lesson.image))) if is_file else pixels
    label: Literal["negative", "positive"] = "positive" if lesson.is_defect else "negative"
    _check_is_new(what, label, sha256, pixels, model, images)
    name = Path(given.name).absolute().as_posix() if is_file and not lesson.name else given.name
    other = images.rows.get(name)
    if not name or (other and other.sha256 != sha256):  # a file that a camera writes again
        name = f"{name or 'image'}#{sha256[:8]}"
    features = restricted(embed(given.resized), given.resized.shape, model.roi)
    banks = model.normal_bank, model.defect_bank
    evidence = gather_evidence(features, *banks, model.probe, model.rule.weighted)
    output = model.rule(evidence)
    mask = None
    if lesson.is_defect and lesson.mask is None:
        mask = propose_mask(output.grid, *given.resized.shape[:2])
    elif lesson.is_defect:
        mask = _read_mask(lesson.mask, given, what)
        if not (covered_cells(mask, *features.shape[:2]) & ~uninspected(features)).any():
            raise DataError(
                f"the defect of {what} lies outside the region of interest of the model, where "
                "nothing is inspected."
            )
    return LearnedImage(
        name,
        label,
        lesson.kind,
        lesson.group,
        sha256,
        pixels,
        given.original,
        given.resized,
        mask,
        lesson.is_defect and lesson.mask is None,
        features,
        evidence,
        output,
        given.note,
    )


def propose_mask(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """The region that stands out most, bool `[height, width]`, by the patch scores of an image.

    Args:
        grid: float32 `[h, w]`, as of `RuleOutput`.
        height, width: of the image, in pixels.

    >>> grid = np.zeros((4, 4), np.float32)
    >>> grid[1, 2] = 1
    >>> np.argwhere(propose_mask(grid, 16, 16))[[0, -1]].tolist()  # the cell, in pixels
    [[4, 8], [7, 11]]
    """
    return mask_of_cells(region_of_peak(grid), height, width)


def _check_is_new(
    what: str, label: str, sha256: str, pixels: str, model: Model, images: CalibrationImages
) -> None:
    assert model.calibration is not None
    known = model.calibration.sha256
    same = next((name for name, digest_ in known.items() if digest_ == sha256), None)
    same = same or images.with_pixels(pixels, known)
    if same is not None:
        before = images.rows[same].label
        if before == label:
            raise DataError(f"{what} is in the model already, as {same}.")
        words = {"negative": "a good part", "positive": "a defect"}
        raise DataError(
            f"{what} is in the model as {same}, labelled {words[before]}, and cannot be "
            f"{words[label]} too. If that label is wrong, take the image out first: "
            f"patchcore-dual teach MODEL --remove {same}"
        )
    if pixels in images.tests:
        raise DataError(
            f"{what} is the test image {images.tests[pixels]} of the prepared folder. A model that "
            "is taught what it is tested on tests as better than it is. Teach another image, or "
            "move this one to the training images and fit again."
        )


def _read_mask(mask: Path | str | np.ndarray | None, given: InputImage, what: str) -> np.ndarray:
    """The mask of a defect, checked, at the model's size, aligned as its image."""
    original, resized = given.original, given.resized
    source = str(mask) if isinstance(mask, str | Path) else f"the mask of {what}"
    pixels = read_mask(mask, _ANY_MASK) if isinstance(mask, str | Path) else np.asarray(mask)
    if pixels.ndim != 2 or pixels.dtype != np.bool_:
        raise ImageError(f"{source} is {pixels.dtype} {list(pixels.shape)}; give bool [H, W].")
    if pixels.shape not in (original.shape[:2], resized.shape[:2]):
        (h, w), (height, width) = pixels.shape, original.shape[:2]
        raise DataError(
            f"{source} is {w}x{h} and its image {width}x{height}. Draw the mask on the image "
            "itself."
        )
    share = float(pixels.mean())
    if not share:
        raise DataError(f"{source} is empty. Mark the defect, or leave --mask out.")
    if share > LARGEST_DEFECT:
        raise DataError(
            f"{source} covers {share:.0%} of the image. Mark the defect alone; if the mask is "
            "inverted, invert it."
        )
    height, width = resized.shape[:2]
    aligned = given.aligned_mask(pixels)
    if not aligned.any():
        raise DataError(f"{source} lies outside of the view once the part is aligned.")
    return np.asarray(resize_mask(aligned, width, height))


def verdict_of(model: Model, evidence: Evidence, score: float) -> str:
    """pass, review or reject, as `Inspection.verdict`."""
    if model.is_foreign(evidence.normal) or not math.isfinite(score):
        return "reject"
    return model.thresholds.verdict(score)
