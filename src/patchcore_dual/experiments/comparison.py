"""Two models judged on the same images: verdicts that differ, and paired intervals."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual._version import __version__
from patchcore_dual.data.listing import OUTPUT_MARKER
from patchcore_dual.data.manifest import Manifest, Split
from patchcore_dual.evaluation.evaluation import Detector, evaluate, image_in_region
from patchcore_dual.evaluation.image_result import ImageResult
from patchcore_dual.evaluation.inspection_folder import PAGE, PANEL_SIZE, picture_names
from patchcore_dual.evaluation.inspection_page import page_can_be_written
from patchcore_dual.evaluation.results import Evaluation
from patchcore_dual.experiments.bootstrap import RESAMPLED, Figure, Resampling
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.pages import page_environment, write_page
from patchcore_dual.utils.pictures import jpeg_bytes
from patchcore_dual.utils.progress import Progress, silent
from patchcore_dual.utils.staging import staged_folder

COMPARED = ("recall", "false_alarm_rate", "image_auroc", "image_ap", "recall_at_fpr_01")
_ORDER = {"reject": 2, "not inspected": 1, "review": 1, "pass": 0}


@dataclass(frozen=True)
class Change:
    """An image of which two models have different verdicts."""

    first: ImageResult
    second: ImageResult

    @property
    def is_better(self) -> bool:
        """Whether the second verdict is nearer to the truth."""
        rises = _ORDER[self.second.verdict] > _ORDER[self.first.verdict]
        return rises == self.first.is_defective

    @property
    def what(self) -> str:
        """What it means, in words.

        >>> first = ImageResult("3.png", "positive", "crack", score=0.4, verdict="pass")
        >>> second = ImageResult("3.png", "positive", "crack", score=0.9, verdict="reject")
        >>> Change(first, second).what, Change(second, first).is_better
        ('defect now found', False)
        """
        if self.first.is_rejected == self.second.is_rejected:
            return f"{self.first.verdict} before, {self.second.verdict} now"
        if self.first.is_defective:
            return "defect now found" if self.second.is_rejected else "defect now missed"
        return "new false alarm" if self.second.is_rejected else "false alarm gone"


@dataclass(frozen=True)
class Comparison:
    """Two evaluations on the same images.

    Attributes:
        first, second: the evaluations.
        differences: second minus first with a paired 95 % interval, by the metric's field.
    """

    first: Evaluation
    second: Evaluation
    differences: dict[str, Figure]

    @property
    def changes(self) -> list[Change]:
        """The images of which the verdicts differ: those that became worse first."""
        pairs = zip(self.first.images, self.second.images, strict=True)
        changed = [Change(a, b) for a, b in pairs if a.verdict != b.verdict]
        return sorted(changed, key=lambda c: (c.is_better, c.what, c.first.path))

    @property
    def counts(self) -> dict[str, int]:
        """How many images changed in which way."""
        return dict(Counter(change.what for change in self.changes))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values; None for what is undefined."""
        return {
            "images": len(self.first.images),
            "metrics": {
                name: {
                    "values": [_plain(getattr(e, name)) for e in (self.first, self.second)],
                    "difference": _plain(figure.mean),
                    "interval": [_plain(figure.low), _plain(figure.high)],
                }
                for name, figure in self.differences.items()
            },
            "counts": self.counts,
            "changes": [
                {
                    "image": change.first.path,
                    "label": change.first.label,
                    "kind": change.first.kind,
                    "what": change.what,
                    "verdicts": [change.first.verdict, change.second.verdict],
                    "scores": [change.first.score, change.second.score],
                }
                for change in self.changes
            ],
            "warnings": list(dict.fromkeys([*self.first.warnings, *self.second.warnings])),
        }


def compare(
    detectors: Sequence[Detector],
    manifest: Manifest,
    split: Split = "test",
    progress: Progress = silent,
    *,
    allow_training_images: bool = False,
) -> Comparison:
    """Judge two models on one split of a prepared data set.

    Intervals are of the paired difference: by bootstrap draws of the groups of the images, the
    same for both models.

    Args:
        detectors: two, fitted.
        manifest: a prepared data set.
        split, progress, allow_training_images: as for `evaluate`.

    Raises:
        DataError: as `evaluate` does.
    """
    first, second = (
        evaluate(
            detector,
            manifest,
            split,
            progress=lambda _, done, total, which=which: progress(which, done, total),
            allow_training_images=allow_training_images,
        )
        for which, detector in zip(("first model", "second model"), detectors, strict=True)
    )
    groups = {sample.image: sample.group for sample in manifest if sample.group}
    resampling = Resampling([first, second], groups)
    differences = {}
    for name in COMPARED:
        draws = [resampling.draws(RESAMPLED[name], [e]) for e in (first, second)]
        value = getattr(second, name) - getattr(first, name)
        differences[name] = Figure.of([value], draws[1] - draws[0])
    return Comparison(first, second, differences)


def write_comparison(
    comparison: Comparison,
    names: Sequence[str],
    detectors: Sequence[Detector],
    manifest: Manifest,
    folder: Path,
    lines: Sequence[str] = (),
) -> Path:
    """Write pictures of the images of which the verdicts differ, and a page that shows them.

    Args:
        comparison: of the two models.
        names: of the two models.
        detectors: the two models.
        manifest: the data set that they were compared on.
        folder: a new one.
        lines: the figures as texts, for the head of the page.

    Returns:
        The page; the folder where Jinja2 is not installed.

    Raises:
        DataError: where the folder is there already, or cannot be written.
    """
    changes = comparison.changes
    by_name = {sample.image: sample for sample in manifest}
    samples = [by_name[change.first.path] for change in changes]
    stems = list(picture_names([manifest.image_path(sample) for sample in samples]).values())
    inspected = [image_in_region(manifest, sample) for sample in samples]
    with staged_folder(folder, OUTPUT_MARKER, "comparison", False, "Name another one.") as staging:
        record = {
            "made_by": f"patchcore-dual {__version__} diff",
            "folder": str(Path.cwd()),
            "results": [],
            "models": list(names),
            **comparison.to_json(),
        }
        write_atomically(staging / OUTPUT_MARKER, (json.dumps(record, indent=1) + "\n").encode())
        for which, detector in zip(("first", "second"), detectors, strict=True):
            for stem, inspection in zip(stems, detector.inspect_many(inspected), strict=True):
                picture = inspection.draw(largest_panel=PANEL_SIZE).astype(np.uint8)
                write_atomically(staging / f"{stem}-{which}.jpg", jpeg_bytes(picture))
        if not page_can_be_written():
            return folder
        html = (
            page_environment()
            .get_template("difference.html")
            .render(
                title=f"{names[0]} and {names[1]}",
                names=names,
                data=str(manifest.folder),
                lines=lines,
                changes=list(zip(changes, stems, strict=True)),
                images=len(comparison.first.images),
            )
        )
        write_page(staging / PAGE, html)
    return folder / PAGE


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None
