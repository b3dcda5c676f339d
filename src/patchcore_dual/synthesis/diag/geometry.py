"""The box of an image that a diffusion model is shown, and how its output is put back (4.2.3)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.crops import Box
from patchcore_dual.data.resizing import resize_image, resize_mask

# A crop is three times as long as the defect, with as much surface on either side.
CONTEXT = 3
# Enlarged more than four times, the surface looks blurred to the model, and it paints blurs.
MAX_ENLARGEMENT = 4
# The VAE downsamples by 8 and the U-Net by another 4, so sizes have to be multiples of 32.
SIZE_STEP = 32


@dataclass(frozen=True)
class View:
    """A box of an image, at the size at which the model works.

    Attributes:
        box: in pixels of the image.
        width, height: size in pixels that the box is resized to.
    """

    box: Box
    width: int
    height: int

    def show(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The box of uint8 `[H, W, 3]` as `[height, width, 3]`."""
        return resize_image(self.box.cut(image), self.width, self.height)

    def show_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The box of bool `[H, W]` as bool `[height, width]`; no defect vanishes."""
        return resize_mask(self.box.cut(mask), self.width, self.height)

    def put_back(self, image: NDArray[np.uint8], painted: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of `[H, W, 3]` with the box replaced by painted `[height, width, 3]`."""
        result = image.copy()
        self.box.cut(result)[:] = resize_image(painted, self.box.width, self.box.height)
        return result


def whole_view(mask: NDArray[np.bool_], size: int) -> View:
    """The whole image, squeezed into a square of `size` pixels a side, as in the thesis."""
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
    """A mask bool `[H, W]` (multiples of `cell`), grown to every cell that it touches.

    The model reads one mask pixel of each cell of 8 x 8, which would break up a hairline.
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
