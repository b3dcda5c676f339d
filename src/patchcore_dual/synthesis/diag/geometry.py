"""Which part of an image a diffusion model is shown, and the way back (thesis 4.2.3)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.crops import Box
from patchcore_dual.data.resizing import resize_image, resize_mask

# A crop is three times as long as the defect: as much surface on either side as the defect is long.
CONTEXT = 3
# Enlarged further than four times, the surface is a blur to the model, and it paints blurs.
MAX_ENLARGEMENT = 4
# A VAE reduces 8 times and the U-Net another 4: sizes in these steps lose nothing on the way.
SIZE_STEP = 32


@dataclass(frozen=True)
class View:
    """A box of an image, at the size at which the model works.

    Attributes:
        box: in pixels of the image.
        width, height: what the box is resized to.
    """

    box: Box
    width: int
    height: int

    def show(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The box of uint8 `[H, W, 3]` as `[height, width, 3]`."""
        return resize_image(self.box.cut(image), self.width, self.height)

    def show_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The box of bool `[H, W]` as bool `[height, width]`, no defect lost."""
        return resize_mask(self.box.cut(mask), self.width, self.height)

    def put_back(self, image: NDArray[np.uint8], painted: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of `[H, W, 3]` with the box replaced by painted `[height, width, 3]`."""
        result = image.copy()
        self.box.cut(result)[:] = resize_image(painted, self.box.width, self.box.height)
        return result


def whole_view(mask: NDArray[np.bool_], size: int) -> View:
    """The thesis's: the whole image squeezed into a square of `size` pixels a side."""
    height, width = mask.shape
    return View(Box(0, 0, width, height), size, size)


def crop_view(mask: NDArray[np.bool_], size: int) -> View:
    """A crop around the mask bool `[H, W]` (not empty) that keeps its aspect ratio.

    Square where the image leaves room for it. The model works on about size x size pixels, with
    sides in steps of 32, so that a long crop is stretched by a few percent at most.
    """
    y, x = np.nonzero(mask)
    length = max(np.ptp(x), np.ptp(y)) + 1
    side = max(CONTEXT * int(length), size // MAX_ENLARGEMENT)
    left, width = _around(int(x.min()), int(x.max()) + 1, side, mask.shape[1])
    top, height = _around(int(y.min()), int(y.max()) + 1, side, mask.shape[0])
    root = math.sqrt(width / height)
    return View(Box(left, top, width, height), _in_steps(size * root), _in_steps(size / root))


def whole_cells(mask: NDArray[np.bool_], cell: int) -> NDArray[np.bool_]:
    """Bool `[H, W]` (multiples of `cell`) grown to all cells that it touches.

    The model sees one mask pixel out of each cell of 8 x 8: a hairline would reach it in shreds.
    """
    height, width = mask.shape
    touched = mask.reshape(height // cell, cell, width // cell, cell).any(axis=(1, 3))
    return touched.repeat(cell, axis=0).repeat(cell, axis=1)


def _around(start: int, stop: int, side: int, limit: int) -> tuple[int, int]:
    """Start and length of `side` pixels around start to stop, moved and clipped into the image."""
    length = min(side, limit)
    return max(0, min((start + stop - length) // 2, limit - length)), length


def _in_steps(length: float) -> int:
    return max(SIZE_STEP, round(length / SIZE_STEP) * SIZE_STEP)
