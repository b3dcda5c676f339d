"""Which patches our coreset chose, so that a peer's bank can be filled with the same ones."""

from pathlib import Path

import numpy as np


def save(path: Path, sources: tuple[str, ...], image: np.ndarray, cell: np.ndarray) -> None:
    """`sources`: image names; `image` `[n]` and `cell` `[n, 2]`: of each chosen patch."""
    np.savez(path, sources=np.array(sources), image=image, cell=cell)


def by_image(path: str, columns: int) -> dict[str, np.ndarray]:
    """For each image name, which of its patches were chosen: row numbers of its `[h · w]`.

    `columns`: w, of the feature grid.
    """
    kept = np.load(path)
    row, column = kept["cell"].T
    patch = row * columns + column
    return {str(name): patch[kept["image"] == i] for i, name in enumerate(kept["sources"])}
