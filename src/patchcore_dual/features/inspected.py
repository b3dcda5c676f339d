"""Which cells of a feature grid are inspected, where a region of interest is given.

A cell is inspected where at least half of it (of what the image covers of it) lies in the region.
The features of all others become NaN (`banks/uninspected.py`), so that they enter no bank and no
statistic, and have no score.
"""

from typing import overload

import numpy as np

from patchcore_dual.data.roi import resize_region
from patchcore_dual.errors import DataError
from patchcore_dual.features.defect_patches import cell_coverage
from patchcore_dual.features.embedder import Embedder, EmbedImage
from patchcore_dual.features.tiled import TiledEmbedder, TiledFeatures, as_set
from patchcore_dual.settings import Settings

LEAST_SHARE = 0.5  # of a cell


def inspected_cells(region: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """bool `[rows, columns]`: the cells of which a region bool `[H, W]` holds at least half.

    >>> region = np.zeros((8, 8), bool)
    >>> region[:, 2:] = True
    >>> inspected_cells(region, 2, 2).astype(int)  # half of the left cells lies in it
    array([[1, 1],
           [1, 1]])
    >>> inspected_cells(~region, 2, 2).any(axis=0)
    array([ True, False])
    """
    whole = cell_coverage(np.ones_like(region), rows, columns)  # the last may reach beyond it
    inside: np.ndarray = cell_coverage(region, rows, columns) >= LEAST_SHARE * whole - 1e-6
    return inside


@overload
def restricted(
    features: np.ndarray, size: tuple[int, ...], *regions: np.ndarray | None
) -> np.ndarray: ...
@overload
def restricted(
    features: np.ndarray | TiledFeatures, size: tuple[int, ...], *regions: np.ndarray | None
) -> np.ndarray | TiledFeatures: ...
def restricted(
    features: np.ndarray | TiledFeatures, size: tuple[int, ...], *regions: np.ndarray | None
) -> np.ndarray | TiledFeatures:
    """Patch features with NaN in the cells that are not inspected.

    Args:
        features: float32 `[h, w, d]`; or in tiles, of which those outside are then left out.
        size: height and width of the image, in pixels; more is ignored.
        regions: bool `[H, W]`, of the image's size or proportions; None inspects all of it. What
            lies in all of them is inspected.

    Raises:
        DataError: they have other proportions than the image, or hold half of no cell.
    """
    given = [region for region in regions if region is not None]
    if not given:
        return features
    height, width = size[:2]
    region = np.all([resize_region(one, width, height) for one in given], axis=0)
    inside = inspected_cells(region, *features.shape[:2])
    if not inside.any():
        raise DataError(
            f"the region of interest covers half of no cell of the image: at {width}x{height} a "
            f"cell is {width / features.shape[1]:.0f} pixels wide. Draw it larger."
        )
    if isinstance(features, TiledFeatures):
        return features.within(inside)
    return np.where(inside[..., None], features, np.float32(np.nan))


def everywhere(embedder: Embedder, settings: Settings) -> EmbedImage:
    """Gives the patch features float32 `[h, w, d]` of one image, whatever is inspected of it.

    Args:
        embedder: a detector's.
        settings: which say whether banks see images in tiles, and projected.
    """
    as_used = as_set(embedder, settings)
    return lambda image: as_used(image[None])[0]


def patches_of(
    embedder: Embedder, image: np.ndarray, *regions: np.ndarray | None
) -> np.ndarray | TiledFeatures:
    """The patch features of an image uint8 `[H, W, 3]`, in tiles where the embedder sees these.

    Args:
        regions: see `restricted`.
    """
    if isinstance(embedder, TiledEmbedder):
        return restricted(embedder.grid(image), image.shape, *regions)
    return restricted(embedder(image[None])[0], image.shape, *regions)
