"""The two passes of a bank over its images (4.3.4): features to choose by, then full vectors.

Of all images only projected features are kept. The full vectors of what was chosen are computed
again, which takes less memory than keeping them, and time that does not grow with the choice.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from patchcore_dual.banks import MemoryBank, projection_matrix
from patchcore_dual.data.manifest import Sample
from patchcore_dual.training.checkpoint import FitCheckpoint
from patchcore_dual.training.estimate import FIRST
from patchcore_dual.utils.memory import Memory
from patchcore_dual.utils.prefetch import prefetch
from patchcore_dual.utils.progress import Progress

WORK_PER_PATCH = 48  # bytes that choosing takes for each patch beside its projected features
FULL_PRECISION = 2_000_000  # good patches, above which projected features take half precision

Patches = Callable[[Sample], tuple[np.ndarray, np.ndarray]]
"""A sample's patch features `[m, d]` that a bank may take, and their grid cells `[m, 2]`."""


@dataclass(frozen=True)
class ProjectedPatches:
    """The projected patches of many images, stacked, and where each image's begin and end."""

    projected: np.ndarray
    starts: np.ndarray

    @property
    def image(self) -> np.ndarray:
        """int32 `[n]`, the image of each row."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))


@dataclass(frozen=True)
class FeaturePasses:
    """The two passes over some images: projected features of all, full vectors of the chosen.

    Attributes:
        name: what to call the images.
        store: keeps what is done of the passes.
        memory: what does not fit is mapped from the files of `store`.
    """

    name: str
    samples: Sequence[Sample]
    patches_of: Patches
    channels: np.ndarray | None
    seed: int
    store: FitCheckpoint
    memory: Memory
    progress: Progress
    _first: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _known: dict[str, np.ndarray] = field(default_factory=dict)

    def layout(self) -> tuple[int, int]:
        """About how many patches there are (as many of each image as of the first), and of what
        length."""
        if "layout" not in self._known:
            found = self.store.arrays(f"layout of {self.name}", self._look)
            self._known["layout"] = found["layout"]
        patches, width = self._known["layout"].tolist()
        return patches * len(self.samples), width

    def _look(self) -> dict[str, np.ndarray]:
        self._first.append(self.patches_of(self.samples[0]))
        return {"layout": np.array(self._first[0][0].shape)}

    def pace(self) -> float | None:
        """Seconds that one image takes, by the first few; None where they were done before."""
        if self.store.resumes:
            return None
        few = self.samples[1 : FIRST + 1]
        started = time.perf_counter()
        for sample in few:
            self._first.append(self.patches_of(sample))
        return (time.perf_counter() - started) / max(1, len(few))

    def project(self) -> ProjectedPatches:
        """First pass. Of very many patches half precision is enough to choose by."""
        expected, width = self.layout()
        dtype = np.float32 if expected <= FULL_PRECISION else np.float16
        projection = projection_matrix(
            width if self.channels is None else len(self.channels), self.seed
        )
        rows = self.store.rows(f"projected {self.name}", dtype, projection.shape[1])

        def projected(vectors: np.ndarray) -> np.ndarray:
            own = vectors if self.channels is None else vectors[:, self.channels]
            return own @ projection

        first = self._first if not rows.counts else []
        remaining = self.samples[len(rows.counts) + len(first) :]
        # Projected where they are computed: two products side by side get in each other's way.
        coming = prefetch(lambda sample: projected(self.patches_of(sample)[0]), remaining, 1)
        for of_image in chain((projected(vectors) for vectors, _ in first), coming):
            rows.append(of_image)
            self.progress(f"features of {self.name}", len(rows.counts), len(self.samples))
        self._first.clear()
        starts = np.concatenate([[0], np.cumsum(rows.counts, dtype=np.int64)])
        size = expected * projection.shape[1] * np.dtype(dtype).itemsize
        return ProjectedPatches(
            rows.read(self.memory.fits(size, WORK_PER_PATCH * expected)), starts
        )

    def collect(self, starts: np.ndarray, choices: Sequence[np.ndarray]) -> list[MemoryBank]:
        """Second pass: a bank of the full vectors of some rows, for each choice of them.

        Args:
            starts: see `ProjectedPatches`.
            choices: sorted row numbers.
        """
        stage = f"vectors of {self.name}"
        _, width = self.layout()
        stored = [
            (
                self.store.rows(f"vectors {i} of {self.name}", np.float32, width),
                self.store.rows(f"cells {i} of {self.name}", np.int32, 2),
            )
            for i in range(len(choices))
        ]
        done = min(len(store.counts) for both in stored for store in both)
        computed = prefetch(self.patches_of, self.samples[done:], 1)
        for i, (vectors, cells) in enumerate(computed, start=done):
            for rows, (kept_vectors, kept_cells) in zip(choices, stored, strict=True):
                begin, end = np.searchsorted(rows, starts[i : i + 2])
                places = rows[begin:end] - starts[i]
                for store, of_image in ((kept_vectors, vectors), (kept_cells, cells)):
                    if len(store.counts) == i:
                        store.append(of_image[places])
            self.progress(stage, i + 1, len(self.samples))
        names = tuple(sample.image for sample in self.samples)
        banks = []
        for rows, (kept_vectors, kept_cells) in zip(choices, stored, strict=True):
            image = np.searchsorted(starts, rows, side="right") - 1
            used, image = np.unique(image, return_inverse=True)
            fits = self.memory.fits(2 * len(rows) * width * 4)
            sources = tuple(names[i] for i in used)
            banks.append(
                MemoryBank(
                    kept_vectors.read(fits), image.astype(np.int32), kept_cells.read(), sources
                )
            )
        return banks
