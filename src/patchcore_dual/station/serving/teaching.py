"""Teaching a model an image, taking some out, inspecting less: shown, then accepted or refused."""

import base64
from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.data.reading import read
from patchcore_dual.data.resizing import resize_mask
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError
from patchcore_dual.features.inspected import everywhere
from patchcore_dual.live import CalibrationImages, Lesson, Outcome, Teaching, commit, editing
from patchcore_dual.live.narrowing import region_without
from patchcore_dual.model import read_fingerprint
from patchcore_dual.model.versions import history
from patchcore_dual.station.serving.detectors import Detectors
from patchcore_dual.station.serving.explanations import png
from patchcore_dual.station.serving.image_limits import check_image


@dataclass(frozen=True, kw_only=True)
class Asked(ABC):
    """A change of a model as it comes from outside.

    Attributes:
        by, why: for the ledger.
        dry_run: only show what would change.
        force: accept it whatever it costs.
        inspected: files that were inspected lately, whose verdicts are compared, by their ids.
    """

    by: str = ""
    why: str = ""
    dry_run: bool = False
    force: bool = False
    inspected: tuple[tuple[str, Path], ...] = ()

    @abstractmethod
    def shown_by(self, detector: PatchCoreDual) -> Outcome:
        """What would come of it, not accepted."""

    @property
    def files(self) -> list[Path]:
        """The files that were inspected lately."""
        return [path for _, path in self.inspected]

    def is_same(self, other: "Asked") -> bool:
        """Whether both change the model in the same way, whoever asks and whatever is compared."""
        beside = {"by": "", "why": "", "dry_run": False, "force": False, "inspected": ()}
        return replace(self, **beside) == replace(other, **beside)  # type: ignore[arg-type]


@dataclass(frozen=True)
class LessonAsked(Asked):
    """An image to be taught.

    Attributes:
        image: the stored file of the image.
        name: what the model is to call it; no path.
        is_defect: whether it shows a defect.
        mask: the bytes of a picture in which the defect is bright; None to have it proposed.
        kind, group: see `live.Lesson`.
        max_pixels: of the mask.
    """

    image: Path
    name: str
    is_defect: bool
    mask: bytes | None = None
    kind: str = ""
    group: str = ""
    max_pixels: int = 100_000_000

    def shown_by(self, detector: PatchCoreDual) -> Outcome:
        """See `Asked`."""
        mask = None if self.mask is None else read_mask(self.mask, self.max_pixels)
        lesson = Lesson(self.image, self.is_defect, mask, self.kind, self.group, self.name)
        return detector.teach(lesson, inspected=self.files, dry_run=True)


@dataclass(frozen=True)
class RemovalAsked(Asked):
    """Training images to be taken out.

    Attributes:
        images: their names, as of `live.remove`.
    """

    images: tuple[str, ...]

    def shown_by(self, detector: PatchCoreDual) -> Outcome:
        """See `Asked`."""
        return detector.teach(removed=self.images, inspected=self.files, dry_run=True)


@dataclass(frozen=True)
class RegionAsked(Asked):
    """What is not to be inspected any more.

    Attributes:
        image: the stored file of the image that it was marked on.
        mask: the bytes of a picture of its size, bright where nothing is to be inspected.
        max_pixels: of the mask.
    """

    image: Path
    mask: bytes
    max_pixels: int

    def shown_by(self, detector: PatchCoreDual) -> Outcome:
        """See `Asked`."""
        mask = read_mask(self.mask, self.max_pixels)
        region = region_without(detector.model, self.image, mask)
        return detector.teach(region=region, inspected=self.files, dry_run=True)


def teach(folder: Path, asked: Asked) -> dict[str, Any]:
    """Change a model as somebody asks, or show what that would change.

    Returns:
        `Preview.to_json()`; and `notes`, `accepted`, the `version` that is in place, its
        `fingerprint`, whether that was `changed`, the names of all images that were `removed`, and
        `proposed_mask`, a grey PNG in base64 of the image's size, where no mask was given for a
        defect.

    Raises:
        DataError, SettingsError, ModelError: as on the command line.
    """
    former, number = len(history(folder)), None
    with nullcontext() if asked.dry_run else editing(folder):
        shown_before = _LATEST.get(folder)
        if shown_before is None or not shown_before.is_of(folder, asked):
            shown_before = _LATEST[folder] = _Shown.of(folder, asked)
        detector, outcome = shown_before.detector, shown_before.outcome
        teaching = outcome.teaching
        is_accepted = not asked.dry_run and (asked.force or not outcome.preview.refusals)
        if is_accepted:
            del _LATEST[folder]
            embed = everywhere(detector.embedder, detector.settings)
            teaching.keep(CalibrationImages(teaching.before, embed, folder))
            edit = outcome.edit(by=asked.by, why=asked.why)
            number = commit(folder, teaching.after, edit).number
    shown = outcome.preview.to_json()
    ids = {str(path): id for id, path in shown_before.asked.inspected}
    shown["inspected"] = [{**c, "image": ids.get(c["image"], "")} for c in shown["inspected"]]
    return {
        **shown,
        "notes": teaching.notes,
        "accepted": is_accepted,
        "version": number,
        "changed": number is not None and number > former,
        "fingerprint": read_fingerprint(folder),
        "removed": teaching.removed,
        "proposed_mask": _proposed_mask(teaching),
    }


@dataclass(frozen=True, eq=False)
class _Shown:
    """A change as it was shown: whoever accepts it need not wait for it again.

    Attributes:
        asked: the change.
        detector: before it.
        fingerprint: of the model before it.
        outcome: what came of it, not accepted.
    """

    asked: Asked
    detector: PatchCoreDual
    fingerprint: str
    outcome: Outcome

    @classmethod
    def of(cls, folder: Path, asked: Asked) -> "_Shown":
        detector = Detectors().load(folder)
        return cls(asked, detector, detector.fingerprint, asked.shown_by(detector))

    def is_of(self, folder: Path, asked: Asked) -> bool:
        """Whether this is what the same change does to the model that is in the folder now."""
        return self.asked.is_same(asked) and read_fingerprint(folder) == self.fingerprint


_LATEST: dict[Path, _Shown] = {}  # of each model, in the process that edits


def read_mask(content: bytes, max_pixels: int) -> np.ndarray:
    """The defect that somebody painted, bool `[H, W]`: what is bright and not transparent.

    Raises:
        ImageError: for what is no image, or a larger one.
    """
    check_image(content, max_pixels, "the mask")
    return np.asarray(read(content, name="the mask").pixels.max(axis=2) > 127)


def decode_mask(text: str) -> bytes:
    """The bytes of a mask in base64, with or without `data:image/png;base64,` before it.

    >>> decode_mask("data:image/png;base64,iVBORw==")
    b'\\x89PNG'
    """
    try:
        return base64.b64decode(text.rpartition(",")[2], validate=True)
    except ValueError:
        raise DataError("the mask is not base64. Send a PNG file in base64.") from None


def _proposed_mask(teaching: Teaching) -> str | None:
    for one in teaching.taught:
        if one.is_proposed and one.mask is not None:
            height, width = one.original.shape[:2]
            picture = resize_mask(one.mask, width, height).astype(np.uint8) * np.uint8(255)
            return base64.b64encode(png(picture)).decode()
    return None
