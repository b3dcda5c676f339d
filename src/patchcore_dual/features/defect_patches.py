"""Which patches of a defective image enter the defect bank: `mask`, `box` or `crop`."""

from typing import Literal

import cv2
import numpy as np

from patchcore_dual.banks.uninspected import uninspected
from patchcore_dual.data.crops import crop_boxes, defect_boxes
from patchcore_dual.data.resizing import resize_image
from patchcore_dual.features.embedder import EmbedImage
from patchcore_dual.scoring import covered_size

PatchChoice = Literal["mask", "box", "crop"]

MIN_COVERAGE = 0.1


def defect_patches(
    embed: EmbedImage,
    image: np.ndarray,
    mask: np.ndarray,
    choice: PatchChoice,
    size: tuple[int, int] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The patch features of one image's defects, and where they lie.

    `mask`: cells of which the mask covers at least a share of 0.1, and of every connected defect
    at least its most covered cell. `box`: the same for the defects' tight boxes. `crop` (3.2,
    5.3.2): the image is cut around each defect, the cut is resized to the model's size and
    embedded, and all its cells enter.

    Args:
        image: uint8 `[H, W, 3]`, prepared.
        mask: bool `[H, W]`.
        size: width and height that crops are resized to; None leaves them as they are.

    Returns:
        float32 `[m, d]`, and int64 `[m, 2]`, row and column in the whole image's feature grid; of
        cells that are inspected alone.
    """
    if choice == "crop":
        return _crop_patches(embed, image, mask, size)
    features = embed(image)
    marked = mask if choice == "mask" else _fill_boxes(mask)
    rows, columns = np.nonzero(covered_cells(marked, *features.shape[:2]) & ~uninspected(features))
    return features[rows, columns], np.stack([rows, columns], axis=1)


def covered_cells(mask: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Rasterise a mask to the feature grid, bool `[rows, columns]`.

    A cell counts from a coverage of 0.1 on, and of each 8-connected defect the most covered one.
    """
    cells = cell_coverage(mask, rows, columns) >= MIN_COVERAGE
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    for label in range(1, count):
        coverage = cell_coverage(labels == label, rows, columns)
        cells.flat[int(coverage.argmax())] = True
    return cells


def cell_coverage(mask: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """float32 `[rows, columns]`: the share of each grid cell that bool `[H, W]` covers."""
    below, beside = np.subtract(covered_size((rows, columns), *mask.shape), mask.shape)
    mask = np.pad(mask, ((0, below), (0, beside)))
    return cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)


def _fill_boxes(mask: np.ndarray) -> np.ndarray:
    filled = np.zeros_like(mask)
    for box in defect_boxes(mask):
        box.cut(filled)[:] = True
    return filled


def _crop_patches(
    embed: EmbedImage, image: np.ndarray, mask: np.ndarray, size: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    height, width = image.shape[:2]
    rows, columns = embed(image).shape[:2]
    covered = covered_size((rows, columns), height, width)
    vectors, cells = [], []
    for box in crop_boxes(mask):
        crop = box.cut(image)
        crop = resize_image(crop, *size) if size else crop
        features = embed(crop)
        h, w, d = features.shape
        h_crop, w_crop = crop.shape[:2]
        h_covered, w_covered = covered_size((h, w), h_crop, w_crop)
        y = box.y + _centres(h, h_covered, h_crop) * box.height / h_crop
        x = box.x + _centres(w, w_covered, w_crop) * box.width / w_crop
        where = np.meshgrid(y * rows // covered[0], x * columns // covered[1], indexing="ij")
        vectors.append(features.reshape(-1, d))
        cells.append(np.stack(where, axis=-1).reshape(-1, 2).astype(np.int64))
    return np.concatenate(vectors), np.concatenate(cells)


def _centres(cells: int, covered: int, side: int) -> np.ndarray:
    """The centres of cells along one side of an image, in its pixels and inside it."""
    return np.minimum((np.arange(cells) + 0.5) * covered / cells, side - 0.5)
