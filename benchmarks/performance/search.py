"""Nearest-neighbour search alone: patches of one image against a bank, by each way of searching.

Each function `TOOL(vectors) -> search` makes what a tool prepares; `search(queries)` gives
distances `[q]`. Only what a tool needs is imported.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from performance.measuring import auroc, peak_mib, resident_mib, time_each

Search = Callable[[np.ndarray], np.ndarray]


def ours(vectors: np.ndarray) -> Search:
    """`MemoryBank.nearest`."""
    from patchcore_dual.banks import MemoryBank

    image = np.zeros(len(vectors), dtype=np.int32)
    cell = np.zeros((len(vectors), 2), dtype=np.int32)
    bank = MemoryBank(vectors, image, cell, ("bank",))
    return lambda queries: bank.nearest(queries)[0]


def faiss(vectors: np.ndarray) -> Search:
    """`IndexFlatL2` on all cores, as patchcore-inspection uses it."""
    import faiss as library

    library.omp_set_num_threads(len(os.sched_getaffinity(0)))
    index = library.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    return lambda queries: np.sqrt(index.search(queries, 1)[0][:, 0])


def products(vectors: np.ndarray) -> Search:
    """NumPy: ‖b‖² − 2ab by one matrix product a block; norms of the bank computed once."""
    squared_norms = np.einsum("nd,nd->n", vectors, vectors)
    block = max(1, 64 * 2**20 // (4 * len(vectors)))

    def search(queries: np.ndarray) -> np.ndarray:
        found = np.empty(len(queries), dtype=np.float32)
        for start in range(0, len(queries), block):
            part = queries[start : start + block]
            relative = (-2 * part) @ vectors.T
            relative += squared_norms
            found[start : start + block] = relative.min(axis=1) + np.einsum("qd,qd->q", part, part)
        return np.sqrt(np.maximum(found, 0))

    return search


TOOLS: dict[str, Callable[[np.ndarray], Search]] = {
    "ours": ours,
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
        queries: `.npy` file `[images, cells, d]`.
        distances: where to write those found, float32 `[images, len(banks), cells]`.
        is_defective: of the images; then the AUROC of the first bank's largest distance is given.
    """
    before = resident_mib()
    searches = [TOOLS[tool](np.load(bank)) for bank in banks]
    images = np.load(queries, mmap_mode="r")
    times, found = time_each(
        (np.ascontiguousarray(image) for image in images),
        lambda image: [one(image) for one in searches],
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
        one = TOOLS[tool](np.ascontiguousarray(vectors[:size]))
        patches = (np.ascontiguousarray(image[:, :dimensions]) for image in images)
        times, _ = time_each(patches, one, at_least=3, limit_s=limit_s)
        points.append({"bank": size, **times["total"]})
    return {"points": points}
