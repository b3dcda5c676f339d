"""The summary of a preparation, shown on screen and stored in preparation.json."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.data.audit import AuditReport
from patchcore_dual.data.sample import Sample
from patchcore_dual.data.schema import SCHEMA_VERSION


@dataclass(frozen=True)
class Count:
    """The number of images of one split, label and kind."""

    split: str
    label: str
    kind: str
    images: int


@dataclass(frozen=True)
class Range:
    """Minimum, median and maximum of some values."""

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class PreparationSummary:
    """Settings and findings of one preparation.

    Attributes:
        prepared: the folder that was made.
        layout: name of the layout.
        size: "WxH" in pixels, or "native".
        size_by: "photographs" where their size was kept, so that `fit` chooses one; else "user".
        split: how the split was decided.
        groups: where the groups came from; None where the layout says which images belong together.
        counts: numbers of images.
        original_width, original_height: of the original images, in pixels.
        defect_area: of the original masks that mark a defect, in pixels; None without any.
        defect_share: fraction of the image that these masks cover; None without any.
        n_unknown_masks: number of defective images without a known mask.
        n_groups: number of groups.
        n_crops: number of defect crops.
        dropped_copies: source names of the images that were dropped as exact copies.
        skipped: what is wrong with each unreadable image, by its source name.
        bit_depth: how many bits of 16-bit files were taken as used; None without such files.
        notes: remarks on the source, a sentence each.
        audit: the audit of all readable images.
        alignment: the reference and limits by which images were aligned; None where they were not.
        moves: how much good parts move; None where that was not measured.
        motion_line: the same in words; not stored.
        roi: file of the region of interest in the folder; None where all of an image is inspected.
    """

    prepared: Path
    layout: str
    size: str
    size_by: str
    split: dict[str, Any]
    groups: dict[str, Any] | None
    counts: list[Count]
    original_width: Range | None
    original_height: Range | None
    defect_area: Range | None
    defect_share: Range | None
    n_unknown_masks: int
    n_groups: int
    n_crops: int
    dropped_copies: list[str]
    skipped: dict[str, str]
    bit_depth: int | None
    notes: list[str]
    audit: AuditReport
    alignment: dict[str, Any] | None = None
    moves: dict[str, Any] | None = None
    motion_line: str = ""
    roi: str | None = None

    @property
    def n_images(self) -> int:
        """Number of images in the prepared data set."""
        return sum(c.images for c in self.counts)

    def to_json(self) -> dict[str, Any]:
        """All but the path of the folder, so that equal preparations give equal JSON."""
        apart = ("prepared", "audit", "counts", "motion_line")
        fields = {k: v for k, v in vars(self).items() if k not in apart}
        plain = {k: asdict(v) if isinstance(v, Range) else v for k, v in fields.items()}
        if self.roi is None:
            del plain["roi"]
        counts = [asdict(c) for c in self.counts]
        return {
            "schema_version": SCHEMA_VERSION,
            **plain,
            "n_images": self.n_images,
            "counts": counts,
            "audit": self.audit.to_json(),
        }


def count(samples: Iterable[Sample]) -> list[Count]:
    """The numbers of images by split, label and kind."""
    numbers = Counter((s.split, s.label, s.kind) for s in samples)
    order = sorted(numbers, key=lambda key: (key[0] == "test", *key[1:]))
    return [Count(*key, images=numbers[key]) for key in order]


def spread(values: Sequence[float]) -> Range | None:
    """The range of some values; None if there are none."""
    if not values:
        return None
    return Range(*(round(float(f(values)), 6) for f in (np.min, np.median, np.max)))
