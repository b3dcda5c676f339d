"""Nearest-neighbour search alone: patches of one image against banks, by each way of searching.

Each function `TOOL(banks) -> search` makes what a tool prepares; `search(image)` takes patch
features `[h, w, d]` and gives distances `[h, w]` to each bank. Only what a tool needs is imported.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from performance.measuring import auroc, peak_mib, resident_mib, time_each

SHARE = 1 / 16  # of the tiles, at a time, of approximate search

Search = Callable[[np.ndarray], list[np.ndarray]]


def ours(banks: list[np.ndarray]) -> Search:
    """`MemoryBank.nearest`; patches are made ready once for all banks, as `inspect` does."""
    made = _memory_banks(banks)

    def search(image: np.ndarray) -> list[np.ndarray]:
        queries = made[0].queries(image)
        return [bank.nearest(queries)[0] for bank in made]

    return search


def approximate(banks: list[np.ndarray]) -> Search:
    """`search_adaptively` for `ratio` (`patchcore` with one bank), a sixteenth at a time."""
    from patchcore_dual.scoring import search_adaptively
    from patchcore_dual.scoring.fusion import PatchCore, Ratio

    normal, *defect = _memory_banks(banks)
    rule = Ratio() if defect else PatchCore()

    def search(image: np.ndarray) -> list[np.ndarray]:
        both = normal, defect[0] if defect else None
        found = search_adaptively(image, *both, None, rule, exact_share=SHARE)
        return [nearest.distance for nearest in (found.normal, found.defect) if nearest]

    return search


def _memory_banks(banks: list[np.ndarray]) -> list[Any]:
    from patchcore_dual.banks import MemoryBank

    return [
        MemoryBank(
            vectors,
            np.zeros(len(vectors), dtype=np.int32),
            np.zeros((len(vectors), 2), dtype=np.int32),
            ("bank",),
        )
        for vectors in banks
    ]


def faiss(banks: list[np.ndarray]) -> Search:
    """`IndexFlatL2` on all cores, as patchcore-inspection uses it."""
    import faiss as library

    library.omp_set_num_threads(len(os.sched_getaffinity(0)))
    indices = [library.IndexFlatL2(vectors.shape[1]) for vectors in banks]
    for index, vectors in zip(indices, banks, strict=True):
        index.add(vectors)

    def search(image: np.ndarray) -> list[np.ndarray]:
        queries = image.reshape(-1, image.shape[-1])
        found = [np.sqrt(index.search(queries, 1)[0][:, 0]) for index in indices]
        return [distances.reshape(image.shape[:-1]) for distances in found]

    return search


def products(banks: list[np.ndarray]) -> Search:
    """NumPy: ‖b‖² − 2ab by one matrix product a block; norms of the bank computed once."""
    norms = [np.einsum("nd,nd->n", vectors, vectors) for vectors in banks]

    def nearest(queries: np.ndarray, vectors: np.ndarray, squared: np.ndarray) -> np.ndarray:
        block = max(1, 64 * 2**20 // (4 * len(vectors)))
        found = np.empty(len(queries), dtype=np.float32)
        for start in range(0, len(queries), block):
            part = queries[start : start + block]
            relative = (-2 * part) @ vectors.T
            relative += squared
            found[start : start + block] = relative.min(axis=1) + np.einsum("qd,qd->q", part, part)
        return np.sqrt(np.maximum(found, 0))

    def search(image: np.ndarray) -> list[np.ndarray]:
        queries = image.reshape(-1, image.shape[-1])
        pairs = zip(banks, norms, strict=True)
        return [nearest(queries, *pair).reshape(image.shape[:-1]) for pair in pairs]

    return search


TOOLS: dict[str, Callable[[list[np.ndarray]], Search]] = {
    "ours": ours,
    "approximate": approximate,
    "faiss": faiss,
    "products": products,
}


def search(
    tool: str,
    banks: list[str],
    queries: str,
    distances: str | None = None,
    is_defective: list[bool] | None = None,
    **limits: Any,
) -> dict[str, Any]:
    """Search one or more banks, one after the other, for every image's patches.

    Args:
        banks: `.npy` files `[n, d]`.
        queries: `.npy` file `[images, h, w, d]`.
        distances: where to write those found, float32 `[images, len(banks), h, w]`.
        is_defective: of the images; then the AUROC of the first bank's largest distance is given.
    """
    before = resident_mib()
    one = TOOLS[tool]([np.load(bank) for bank in banks])
    images = np.load(queries, mmap_mode="r")
    times, found = time_each(
        (np.ascontiguousarray(image) for image in images),
        one,
        **limits,
    )
    if distances is not None:
        np.save(distances, np.array(found))
    scores = [float(first.max()) for first, *_ in found]
    return {
        "ms": times,
        "peak_mib": peak_mib() - before,
        "bank": [int(np.load(bank, mmap_mode="r").shape[0]) for bank in banks],
        "image_auroc": auroc(scores, is_defective[: len(scores)]) if is_defective else None,
        "index_mib": sum(Path(bank).stat().st_size for bank in banks) / 2**20,
    }


def curve(tool: str, bank: str, queries: str, sizes: list[int], limit_s: float) -> dict[str, Any]:
    """Search the first n vectors of a bank, for growing n; `limit_s` for each n."""
    vectors, images = np.load(bank, mmap_mode="r"), np.load(queries, mmap_mode="r")
    dimensions = vectors.shape[1]
    points = []
    for size in sizes:
        one = TOOLS[tool]([np.ascontiguousarray(vectors[:size])])
        patches = (np.ascontiguousarray(image[..., :dimensions]) for image in images)
        times, _ = time_each(patches, one, at_least=3, limit_s=limit_s)
        points.append({"bank": size, **times["total"]})
    return {"points": points}
