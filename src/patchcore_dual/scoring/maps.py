"""Anomaly maps: patch scores brought to image size and smoothed (thesis 4.3.5, last part)."""

import cv2
import numpy as np

CELLS = (4, 8, 16, 32)  # strides of the levels of a network, in pixels


def anomaly_map(grid: np.ndarray, height: int, width: int, sigma: float) -> np.ndarray:
    """Return the anomaly map: the patch grid, upsampled bilinearly and smoothed with a Gaussian.

    Args:
        grid: float32 `[h, w]`, one score for each patch; its cells lie as `covered_size` says.
        height, width: size of the prepared image, in pixels.
        sigma: standard deviation of the Gaussian, in pixels of the prepared image.

    Returns:
        float32 `[height, width]`; NaN in cells whose score is NaN, which are not inspected. Others
        are smoothed as if the nearest of them went on there.

    >>> grid = np.zeros((4, 4), np.float32)
    >>> grid[1, 2] = 1
    >>> heat = anomaly_map(grid, height=32, width=32, sigma=2)
    >>> heat.shape, bool(heat[12, 20] > 0.5), bool(heat[28, 4] < 0.01)
    ((32, 32), True, True)
    """
    covered = covered_size(grid.shape, height, width)
    upsampled = resize_map(np.ascontiguousarray(extended(grid), dtype=np.float32), *covered)
    upsampled = np.ascontiguousarray(upsampled[:height, :width])
    # In place: a large image has a large map.
    heat = cv2.GaussianBlur(upsampled, (0, 0), sigma, upsampled, borderType=cv2.BORDER_REFLECT)
    outside = np.isnan(grid)
    if outside.any():
        heat[_enlarged(outside, *covered)[:height, :width]] = np.nan
    return heat


def heat_map(
    grid: np.ndarray, size: tuple[int, ...], shown: tuple[int, ...], sigma: float
) -> np.ndarray:
    """Return the anomaly map of an image that was resized, at the size of the original.

    Args:
        grid, sigma: see `anomaly_map`.
        size: height and width of the image as it was embedded, in pixels; more is ignored.
        shown: height and width of the original, likewise.
    """
    heat = anomaly_map(grid, size[0], size[1], sigma)
    if heat.shape == shown[:2]:
        return heat
    outside = np.isnan(heat)
    if not outside.any():
        return resize_map(heat, shown[0], shown[1])
    shown_heat = resize_map(extended(heat), shown[0], shown[1])
    shown_heat[_enlarged(outside, shown[0], shown[1])] = np.nan
    return shown_heat


def extended(grid: np.ndarray) -> np.ndarray:
    """A grid `[h, w]` with the value of the nearest other cell in place of NaN; some cell has one.

    >>> extended(np.array([[1.0, np.nan, np.nan, 4.0]]))
    array([[1., 1., 4., 4.]])
    """
    outside = np.isnan(grid)
    if not outside.any():
        return grid
    from scipy.ndimage import distance_transform_edt  # here, since most models need none

    where = distance_transform_edt(outside, return_distances=False, return_indices=True)
    return np.asarray(grid[tuple(where)])


def _enlarged(cells: np.ndarray, height: int, width: int) -> np.ndarray:
    """bool `[height, width]`: the pixels of some cells, bool `[h, w]`."""
    pixels = cv2.resize(cells.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(pixels > 0)


def covered_size(grid: tuple[int, ...], height: int, width: int) -> tuple[int, int]:
    """Height and width, in pixels of the image, of the area that the cells of a grid cover.

    The cells of a network are squares of 4, 8, 16 or 32 pixels that begin at the top left corner
    of the image; the last ones may reach beyond it. A grid of any other size tiles the image.

    Args:
        grid: its rows and columns.
        height, width: size of the image.

    >>> covered_size((4, 5), 32, 40), covered_size((5, 5), 33, 40), covered_size((4, 5), 33, 40)
    ((32, 40), (40, 40), (33, 40))
    """
    rows, columns = grid
    for cell in CELLS:
        if (rows, columns) == (-(-height // cell), -(-width // cell)):
            return rows * cell, columns * cell
    return height, width


def resize_map(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a float32 map resized bilinearly to `[height, width]`, cells aligned by their areas.

    >>> resize_map(np.array([[0, 1]], np.float32), height=1, width=4).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
