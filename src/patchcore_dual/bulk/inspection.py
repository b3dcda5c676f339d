"""What a worker does: it inspects the images of a shard, and gives their rows as a Parquet file."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from patchcore_dual.bulk.embeddings import Embedded, Recording, Replaying, judged, keep, kept
from patchcore_dual.bulk.models import Models
from patchcore_dual.bulk.plan import Shard
from patchcore_dual.bulk.stores import is_url, read_bytes
from patchcore_dual.data.inputs import InRegion
from patchcore_dual.data.pixels import read_pixels
from patchcore_dual.data.resizing import MAX_DISTORTION, distortion
from patchcore_dual.data.results_folder import MAPS, map_archive, to_parquet
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ModelError, PatchCoreDualError, SettingsError
from patchcore_dual.scoring.inspection import Inspection
from patchcore_dual.utils.memory import UNLIMITED, Memory
from patchcore_dual.utils.pictures import png_bytes
from patchcore_dual.utils.prefetch import prefetch

_AHEAD = 2  # images that are read while one is inspected


@dataclass(frozen=True)
class Job:
    """What every worker of a run is told.

    Attributes:
        folders: of the models, by fingerprint.
        region: see `InRegion`.
        maps: whether heat maps are wanted.
        memory: that a worker may take.
        embeddings: the folder that the images' embeddings are kept in, if they are to be.
        embedded: the folder that embeddings are read from, in place of the images.
    """

    folders: Mapping[str, Path]
    region: np.ndarray | None = None
    maps: bool = False
    memory: Memory = UNLIMITED
    embeddings: Path | None = None
    embedded: Path | None = None


@dataclass(frozen=True)
class ShardResult:
    """What came of a shard, or of a part of one.

    Attributes:
        rows: a Parquet file of `results_folder.schema`.
        maps: PNG files by name, grey, of `Inspection.heat`.
        counts: images by verdict; "error" for those without.
        notes: images by what is to be known of how they were read.
        errors: a message for each image without a verdict.
        distorted: images whose proportions are not those of their model.
    """

    rows: bytes
    maps: dict[str, bytes] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    distorted: list[str] = field(default_factory=list)


class _Image(NamedTuple):
    name: str
    content: np.ndarray | Embedded | None
    how_read: str
    error: str
    seconds: float


def begin(job: Job) -> Callable[[Shard], ShardResult]:
    """The function of a worker, for `Executor.map`."""
    return _Worker(job)


def error_rows(shard: Shard, job: Job, error: str) -> ShardResult:
    """The result of a shard whose images cannot be inspected for one reason."""
    rows = [_error_row(image, job.folders[shard.model], error) for image in shard.images]
    errors = [f"{image}: {error}" for image in shard.images]
    return ShardResult(to_parquet(rows), counts=Counter(error=len(rows)), errors=errors)


class _Worker:
    def __init__(self, job: Job) -> None:
        self._job, self._models = job, Models(job.folders, job.memory)

    def __call__(self, shard: Shard) -> ShardResult:
        detector, folder = self._detector(shard.model), self._job.folders[shard.model]
        bit_depth = detector.model.bit_depth
        images = prefetch(lambda name: self._read(name, bit_depth), shard.images, _AHEAD)
        rows: list[dict[str, Any]] = []
        maps: dict[str, bytes] = {}
        notes: Counter[str] = Counter()
        distorted: list[str] = []
        for place, image in enumerate(images, shard.start):
            begun = time.perf_counter()
            row = _error_row(image.name, folder, image.error)
            try:
                inspection = self._inspect(detector, image)
            except (ModelError, SettingsError):  # of the run, not of an image
                raise
            except Exception as error:
                row["error"] = _reason(error)
                inspection = None
            if inspection is not None:
                if self._job.maps:
                    name = f"{place:05}-{PurePosixPath(image.name).stem[:100]}.png"
                    maps[name] = png_bytes(np.rint(255 * inspection.heat).astype(np.uint8))
                    row["map"] = f"{MAPS}/{map_archive(shard.number)}/{name}"
                row |= _row(inspection, image.how_read)
                notes.update([image.how_read] if image.how_read else [])
                size = row["width"], row["height"]
                if distortion(size, detector.model.size or size) > MAX_DISTORTION:
                    distorted.append(image.name)
            row["read_ms"] = 1000 * image.seconds
            row["inspect_ms"] = 1000 * (time.perf_counter() - begun)
            rows.append(row)
            del image, inspection  # the next one needs the memory
        counts = Counter(row.get("verdict") or "error" for row in rows)
        errors = [row["error"] for row in rows if row["error"]]
        return ShardResult(to_parquet(rows), maps, counts, notes, errors, distorted)

    def _detector(self, fingerprint: str) -> PatchCoreDual:
        detector = self._models[fingerprint]
        if self._job.embeddings and not isinstance(detector.embedder, Recording):
            detector.embedder = Recording(detector.embedder)
        if self._job.embedded and not isinstance(detector.embedder, Replaying):
            detector.embedder = Replaying(detector.embedder)
        return detector

    def _read(self, name: str, bit_depth: int | None) -> _Image:
        begun = time.perf_counter()
        content: np.ndarray | Embedded | None = None
        how_read = problem = ""
        try:
            if self._job.embedded:
                content = kept(self._job.embedded, name)
                how_read = content.how_read
            elif is_url(name):
                content, _, how_read = read_pixels(read_bytes(name), name, bit_depth)
            else:
                content, _, how_read = read_pixels(name, "", bit_depth)
        except Exception as error:
            problem = _reason(error)
        return _Image(name, content, how_read, problem, time.perf_counter() - begun)

    def _inspect(self, detector: PatchCoreDual, image: _Image) -> Inspection | None:
        if image.content is None:
            return None
        if isinstance(image.content, Embedded):
            assert isinstance(detector.embedder, Replaying)
            return judged(detector, detector.embedder, image.name, image.content, self._job.region)
        given = InRegion(image.content, self._job.region)
        inspection = detector.inspect(given, image.name)
        if self._job.embeddings:
            assert isinstance(detector.embedder, Recording)
            keep(self._job.embeddings, image.name, detector.embedder, inspection, image.how_read)
        return inspection


def _row(inspection: Inspection, how_read: str) -> dict[str, Any]:
    height, width = inspection.image.shape[:2]
    values = inspection.to_json()
    note = "; ".join(note for note in (how_read, values["note"]) if note)
    return {
        **values,
        "path": _text(values["path"]),
        "note": _text(note),
        "error": None,
        "width": width,
        "height": height,
    }


def _error_row(image: str, folder: Path, error: str) -> dict[str, Any]:
    return {"path": _text(image), "model_folder": _text(str(folder)), "error": _text(error) or None}


def _reason(error: Exception) -> str:
    if isinstance(error, PatchCoreDualError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _text(text: str) -> str:
    """Text that UTF-8 can hold: names of files can be any bytes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
