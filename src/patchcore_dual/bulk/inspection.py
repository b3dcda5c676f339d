"""What a worker does: it inspects the images of a shard, and gives their rows as a Parquet file."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from patchcore_dual.bulk.models import Models
from patchcore_dual.bulk.plan import Shard
from patchcore_dual.bulk.stores import is_url, read_bytes
from patchcore_dual.data.inputs import InRegion
from patchcore_dual.data.pixels import read_pixels
from patchcore_dual.data.resizing import MAX_DISTORTION, distortion
from patchcore_dual.data.results_folder import to_parquet
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
        fingerprints: of the models, by folder.
        region: see `InRegion`.
        maps: whether heat maps are wanted.
        memory: that a worker may take.
    """

    fingerprints: Mapping[str, str]
    region: np.ndarray | None = None
    maps: bool = False
    memory: Memory = UNLIMITED


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
        seconds: that reading took, and inspecting.
    """

    rows: bytes
    maps: dict[str, bytes] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    distorted: list[str] = field(default_factory=list)
    seconds: tuple[float, float] = (0.0, 0.0)


class _Image(NamedTuple):
    name: str
    pixels: np.ndarray | None
    how_read: str
    error: str
    seconds: float


def begin(job: Job) -> Callable[[Shard], ShardResult]:
    """The function of a worker, for `Executor.map`."""
    return _Worker(job)


def error_rows(shard: Shard, error: str) -> ShardResult:
    """The result of a shard whose images cannot be inspected for one reason."""
    rows = [_error_row(image, shard.model, error) for image in shard.images]
    errors = [f"{image}: {error}" for image in shard.images]
    return ShardResult(to_parquet(rows), counts=Counter(error=len(rows)), errors=errors)


class _Worker:
    def __init__(self, job: Job) -> None:
        self._job, self._models = job, Models(job.fingerprints, job.memory)

    def __call__(self, shard: Shard) -> ShardResult:
        detector = self._models[shard.model]
        depth = detector.model.bit_depth
        read = prefetch(lambda name: _read(name, depth), shard.images, _AHEAD)
        rows: list[dict[str, Any]] = []
        maps: dict[str, bytes] = {}
        notes: Counter[str] = Counter()
        distorted: list[str] = []
        for place, image in enumerate(read, shard.start):
            begun = time.perf_counter()
            row = _error_row(image.name, shard.model, image.error)
            if image.pixels is not None:
                try:
                    region = InRegion(image.pixels, self._job.region)
                    inspection = detector.inspect(region, image.name)
                except (ModelError, SettingsError):  # of the run, not of an image
                    raise
                except Exception as error:
                    row["error"] = _reason(error)
                else:
                    if self._job.maps:
                        name = f"{place:05}-{PurePosixPath(image.name).stem[:100]}.png"
                        maps[name] = png_bytes(np.rint(255 * inspection.heat).astype(np.uint8))
                        row["map"] = f"_maps/part-{shard.number:08}.zip/{name}"
                    row |= _row(inspection, image.how_read)
                    notes.update([image.how_read] if image.how_read else [])
                    size = row["width"], row["height"]
                    if distortion(size, detector.model.size or size) > MAX_DISTORTION:
                        distorted.append(image.name)
            row["read_ms"] = 1000 * image.seconds
            row["inspect_ms"] = 1000 * (time.perf_counter() - begun)
            rows.append(row)
            del image
        counts = Counter(row.get("verdict") or "error" for row in rows)
        seconds = (
            sum(row["read_ms"] for row in rows) / 1000,
            sum(row["inspect_ms"] for row in rows) / 1000,
        )
        errors = [row["error"] for row in rows if row["error"]]
        return ShardResult(to_parquet(rows), maps, counts, notes, errors, distorted, seconds)


def _read(name: str, bit_depth: int | None) -> _Image:
    begun = time.perf_counter()
    pixels, how_read, problem = None, "", ""
    try:
        given = read_bytes(name) if is_url(name) else name
        shown = name if isinstance(given, bytes) else ""
        pixels, _, how_read = read_pixels(given, shown, bit_depth)
    except Exception as error:
        problem = _reason(error)
    return _Image(name, pixels, how_read, problem, time.perf_counter() - begun)


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


def _error_row(image: str, model: str, error: str) -> dict[str, Any]:
    return {"path": _text(image), "model_folder": _text(model), "error": _text(error) or None}


def _reason(error: Exception) -> str:
    if isinstance(error, PatchCoreDualError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _text(text: str) -> str:
    """Text that UTF-8 can hold: names of files can be any bytes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
