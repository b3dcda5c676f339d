"""`FeaturePasses`: the two passes over images that a memory bank is built by (thesis 4.3.4).

The first gives projected features of every patch, by which a coreset is selected; the second gives
the full vectors of the selected patches alone. Only projected features are ever held for all
images together.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from patchcore_dual.banks import MemoryBank, projection_matrix
from patchcore_dual.data.manifest import Sample
from patchcore_dual.training.checkpoint import FitCheckpoint
from patchcore_dual.training.estimate import TIMED_IMAGES
from patchcore_dual.utils.memory import Memory
from patchcore_dual.utils.progress import Progress

WORK_PER_PATCH = 48  # bytes that selecting needs for each patch, beside its projected features
FULL_PRECISION = 2_000_000  # normal patches, above which projected features take half precision

Patches = Callable[[Sample], tuple[np.ndarray, np.ndarray]]
"""Maps a sample to patch features float32 `[m, d]` and their grid cells int64 `[m, 2]`."""


@dataclass(frozen=True)
class ProjectedPatches:
    """The projected patches of many images, stacked.

    Attributes:
        projected: float32 or float16 `[n, k]`.
        starts: int64 `[images + 1]`, where the rows of each image begin, and n.
    """

    projected: np.ndarray
    starts: np.ndarray

    @property
    def image(self) -> np.ndarray:
        """int32 `[n]`, the image of each row."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))


@dataclass(frozen=True)
class FeaturePasses:
    """The two passes over some images: projected features of all, full vectors of the selected.

    Attributes:
        name: what the images are called in messages.
        samples: the images.
        patches_of: gives an image's patches.
        each: applies a function to samples, in order, as `FitContext.each`.
        channels: those that the projection sees, int64 `[k]`; None for all.
        seed: of the projection.
        checkpoint: keeps what is finished of the passes.
        memory: what does not fit is mapped from files of the checkpoint.
        progress: gets the stage and how far it is.
    """

    name: str
    samples: Sequence[Sample]
    patches_of: Patches
    each: Callable[[Callable[[Sample], Any], Sequence[Sample]], Iterator[Any]]
    channels: np.ndarray | None
    seed: int
    checkpoint: FitCheckpoint
    memory: Memory
    progress: Progress
    _first: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _known: dict[str, np.ndarray] = field(default_factory=dict)

    def layout(self) -> tuple[int, int]:
        """Number of patches, estimated from the first image, and length of a patch feature."""
        if "layout" not in self._known:
            kept = self.checkpoint.arrays(
                f"layout of {self.name}",
                self._first_shape,
                lambda arrays: arrays["layout"].shape == (2,) and arrays["layout"].min() > 0,
            )
            self._known["layout"] = kept["layout"]
        patches, width = self._known["layout"].tolist()
        return patches * len(self.samples), width

    def _first_shape(self) -> dict[str, np.ndarray]:
        self._first.append(self.patches_of(self.samples[0]))
        return {"layout": np.array(self._first[0][0].shape)}

    def seconds_per_image(self) -> float | None:
        """Seconds that embedding one image takes, by the next few; None when resuming."""
        if self.checkpoint.resumes:
            return None
        few = self.samples[1 : TIMED_IMAGES + 1]
        started = time.perf_counter()
        for sample in few:
            self._first.append(self.patches_of(sample))
        return (time.perf_counter() - started) / max(1, len(few))

    def project(self) -> ProjectedPatches:
        """First pass. Where there are millions of patches, half precision is enough to select."""
        expected, width = self.layout()
        dtype = np.float32 if expected <= FULL_PRECISION else np.float16
        projection = projection_matrix(
            width if self.channels is None else len(self.channels), self.seed
        )
        rows = self.checkpoint.rows(f"projected {self.name}", dtype, projection.shape[1])
        if len(rows.counts) > len(self.samples):
            rows.keep(0)

        def projected(vectors: np.ndarray) -> np.ndarray:
            own = vectors if self.channels is None else vectors[:, self.channels]
            return own @ projection

        first = self._first if not rows.counts else []
        remaining = self.samples[len(rows.counts) + len(first) :]
        # Projected in the prefetch thread: matrix products side by side compete for the cores.
        coming = self.each(lambda sample: projected(self.patches_of(sample)[0]), remaining)
        for of_image in chain((projected(vectors) for vectors, _ in first), coming):
            rows.append(of_image)
            self.progress(f"features of {self.name}", len(rows.counts), len(self.samples))
        self._first.clear()
        starts = np.concatenate([[0], np.cumsum(rows.counts, dtype=np.int64)])
        size = expected * projection.shape[1] * np.dtype(dtype).itemsize
        in_memory = self.memory.fits(size, WORK_PER_PATCH * expected)
        return ProjectedPatches(rows.read(in_memory), starts)

    def collect(self, starts: np.ndarray, selections: Sequence[np.ndarray]) -> list[MemoryBank]:
        """Second pass: for each selection of rows, a bank of their full vectors.

        Args:
            starts: see `ProjectedPatches`.
            selections: sorted row numbers.
        """
        stage = f"vectors of {self.name}"
        _, width = self.layout()
        stored = [
            (
                self.checkpoint.rows(f"vectors {i} of {self.name}", np.float32, width),
                self.checkpoint.rows(f"cells {i} of {self.name}", np.int32, 2),
            )
            for i in range(len(selections))
        ]
        for selection, both in zip(selections, stored, strict=True):
            for file in both:
                file.check(np.diff(np.searchsorted(selection, starts)).tolist())
        done = min(len(file.counts) for both in stored for file in both)
        computed = self.each(self.patches_of, self.samples[done:])
        for i, (vectors, cells) in enumerate(computed, start=done):
            for rows, (vector_file, cell_file) in zip(selections, stored, strict=True):
                begin, end = np.searchsorted(rows, starts[i : i + 2])
                selected = rows[begin:end] - starts[i]
                for file, of_image in ((vector_file, vectors), (cell_file, cells)):
                    if len(file.counts) == i:
                        file.append(of_image[selected])
            self.progress(stage, i + 1, len(self.samples))
        names = tuple(sample.image for sample in self.samples)
        banks = []
        for rows, (vector_file, cell_file) in zip(selections, stored, strict=True):
            image = np.searchsorted(starts, rows, side="right") - 1
            used, image = np.unique(image, return_inverse=True)
            fits = self.memory.fits(2 * len(rows) * width * 4)
            sources = tuple(names[i] for i in used)
            banks.append(
                MemoryBank(
                    vector_file.read(fits), image.astype(np.int32), cell_file.read(), sources
                )
            )
        return banks


def draw(n: int, size: int, seed: int) -> np.ndarray:
    """At most `size` of n row numbers, drawn evenly and sorted.

    >>> draw(3, 10, seed=0)
    array([0, 1, 2])
    """
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))
