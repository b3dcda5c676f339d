"""The model's verdicts on the photographs of a study: by inspecting them, or from a log."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, get_args

from patchcore_dual.data.inspection_log import read_log
from patchcore_dual.data.listing import printable
from patchcore_dual.data.study_plan import MODEL, StudyPlan, Trial
from patchcore_dual.errors import DataError, ImageError, together
from patchcore_dual.scoring.inspection import Inspection
from patchcore_dual.scoring.regions import Region
from patchcore_dual.scoring.thresholds import Verdict
from patchcore_dual.utils.files import file_sha256
from patchcore_dual.utils.progress import Progress, silent


@dataclass(frozen=True)
class Record:
    """The model's verdict on one photograph.

    Attributes:
        image: the photograph.
        verdict, score, threshold, review_threshold, regions, is_foreign: as of `Inspection`.
    """

    image: Path
    verdict: Verdict
    score: float
    threshold: float
    review_threshold: float
    regions: tuple[Region, ...]
    is_foreign: bool


class Detector(Protocol):
    """What a study needs of a detector; `PatchCoreDual` has it."""

    @property
    def fingerprint(self) -> str: ...
    def inspect_many(self, images: Sequence[Path], on_error: Any) -> Iterator[Any]: ...
    def training_images(self) -> dict[Path, str] | None: ...


def inspected(
    plan: StudyPlan, detector: Detector, progress: Progress = silent
) -> dict[Path, Record]:
    """Inspect the photographs of a study; their records by path.

    Raises:
        DataError: photographs that cannot be read, all together; one that is a copy of another or
            of a training image.
    """
    check_photographs(plan, detector.training_images())
    records: dict[Path, Record] = {}
    problems: list[DataError] = []
    images = plan.images
    for i, result in enumerate(detector.inspect_many(images, on_error="yield")):
        if isinstance(result, ImageError):
            problems.append(result)
        else:
            records[images[i]] = _record(images[i], Inspection.to_json(result))
        progress("inspecting", i + 1, len(images))
    if problems:
        raise together(problems)
    return records


def logged(plan: StudyPlan, log: Path, detector: Detector) -> dict[Path, Record]:
    """Find the photographs of a study in what `inspect --jsonl` printed; their records by path.

    A photograph is known by its path, or by the end of it where the log was written elsewhere.

    Raises:
        DataError: a photograph that is not in the log, or more than once, or could not be read;
            a log that is no such log, or of another model.
    """
    check_photographs(plan, detector.training_images())
    by_name: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for number, line in read_log(log):
        by_name.setdefault(_posix(str(line.get("path", ""))).name, []).append((number, line))
    records: dict[Path, Record] = {}
    problems: list[DataError] = []
    for trial in plan.trials:
        if trial.appraiser != MODEL or trial.image is None:
            continue
        try:
            number, line = _find(trial, by_name.get(trial.image.name, []), log)
            where = f"{printable(log)}, line {number}"
            if "error" in line:
                raise DataError(f"{where}: {line['error']}")
            if line.get("model") != detector.fingerprint:
                raise DataError(
                    f"{where}: a verdict of model {line.get('model')}, not of this one, "
                    f"{detector.fingerprint}. Name the model, or the version as MODEL@3, that "
                    "wrote the log."
                )
            records[trial.image] = _record(trial.image, line, where)
        except DataError as error:
            problems.append(error)
    if problems:
        raise together(problems)
    return records


def check_photographs(plan: StudyPlan, training: dict[Path, str] | None) -> None:
    """Check that no photograph is a copy of another one, or of a training image.

    Photographs that are not there are passed over.

    Args:
        training: digests of the training images by path.
    """
    problems: list[DataError] = []
    seen: dict[str, Path] = {}
    fitted_on = set((training or {}).values())
    for path in plan.images:
        if not path.is_file():
            continue
        digest = file_sha256(path)
        first = seen.setdefault(digest, path)
        if first is not path:
            problems.append(
                DataError(
                    f"{printable(path)} is a copy of {printable(first)}. Each trial needs a "
                    "photograph of its own, with the part put in anew."
                )
            )
        elif digest in fitted_on:
            problems.append(
                DataError(
                    f"{printable(path)} is an image that the model was fitted on, so its verdict "
                    "says nothing about new ones. Study other parts."
                )
            )
    if problems:
        raise together(problems)


def _find(
    trial: Trial, lines: Iterable[tuple[int, dict[str, Any]]], log: Path
) -> tuple[int, dict[str, Any]]:
    image = Path(trial.image or "")
    same = [one for one in lines if os.path.abspath(one[1]["path"]) == os.path.abspath(image)]
    found = same or _alike(image, lines)
    if not found:
        raise DataError(
            f"{trial.where}: {printable(image)} is not in {printable(log)}. Inspect it, or name "
            "it as the log does."
        )
    if len(found) > 1:
        numbers = ", ".join(str(number) for number, _ in found)
        raise DataError(
            f"{trial.where}: {printable(image)} is in {printable(log)} {len(found)} times (lines "
            f"{numbers}). Leave one."
        )
    return found[0]


def _alike(
    image: Path, lines: Iterable[tuple[int, dict[str, Any]]]
) -> list[tuple[int, dict[str, Any]]]:
    """The lines whose path has the longest end in common with the image's, one folder at least."""
    ours = _posix(os.path.abspath(image)).parts[::-1]
    ranked: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for number, line in lines:
        theirs = _posix(line["path"]).parts[::-1]
        pairs = zip(ours, theirs, strict=False)
        alike = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
        ranked.setdefault(alike, []).append((number, line))
    best = max(ranked, default=0)
    return ranked[best] if best > 1 or (best == 1 and len(ranked[1]) == 1) else []


def _posix(path: str) -> PurePosixPath:
    return PurePosixPath(path.replace("\\", "/"))


def _record(image: Path, line: dict[str, Any], where: str = "") -> Record:
    try:
        if line["verdict"] not in get_args(Verdict):
            raise ValueError(line["verdict"])
        score, threshold, review = (
            float(line[key]) for key in ("score", "threshold", "review_threshold")
        )
        if not all(map(math.isfinite, (score, threshold, review))):
            raise ValueError(score)
        regions = tuple(Region(**region) for region in line.get("regions", ()))
        is_foreign = bool(line.get("is_foreign", False))
        return Record(image, line["verdict"], score, threshold, review, regions, is_foreign)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not a whole result of `inspect --jsonl` ({error!r}).") from None
