"""`Motion`: how a part lies in an image, against where it lies in a reference image."""

from dataclasses import dataclass, replace

import cv2
import numpy as np


@dataclass(frozen=True)
class Motion:
    """A shift and a turn in the image plane, about the centre of the image.

    Attributes:
        x, y: how far to the right and down the part lies from where it lies in the reference, in
            pixels of the image as it was given.
        turn: by how much it is turned anticlockwise, in degrees.
        confidence: how much the image is like the reference after alignment, the correlation of
            both, at most 1.
        reason: why the image cannot be aligned and inspected, a sentence; "" where it can be.

    >>> image = np.zeros((20, 30, 3), np.uint8)
    >>> image[5:9, 12:18] = 200
    >>> moved = Motion(x=4, y=2, confidence=1.0)
    >>> aligned = moved.undo(image)
    >>> bool(aligned[3:7, 8:14].min() == 200), moved.is_none
    (True, False)
    """

    x: float = 0.0
    y: float = 0.0
    turn: float = 0.0
    confidence: float = 1.0
    reason: str = ""

    @property
    def is_none(self) -> bool:
        """Whether the part lies where it lies in the reference."""
        return self.x == self.y == self.turn == 0

    @property
    def shift(self) -> float:
        """The length of the shift, in pixels."""
        return float(np.hypot(self.x, self.y))

    def scaled(self, factor: float) -> "Motion":
        """The same motion in the pixels of the image at `factor` times its size."""
        return replace(self, x=self.x * factor, y=self.y * factor)

    def matrix(self, height: int, width: int) -> np.ndarray:
        """float64 `[2, 3]`: from a place (x, y) in the reference to that in the image."""
        centre = (width - 1) / 2, (height - 1) / 2
        matrix = cv2.getRotationMatrix2D(centre, self.turn, 1.0)
        matrix[:, 2] += np.array([self.x, self.y])
        return np.asarray(matrix, dtype=np.float64)

    def undo(self, image: np.ndarray) -> np.ndarray:
        """The image with the part where it lies in the reference, in one bicubic interpolation.

        What comes in at the borders repeats the outermost pixels.

        Args:
            image: uint8 `[H, W, 3]` or `[H, W]`.

        Returns:
            of the same size; the image itself where there is no motion.
        """
        if self.is_none:
            return image
        height, width = image.shape[:2]
        aligned = cv2.warpAffine(
            image,
            self.matrix(height, width),
            (width, height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(aligned)

    def undo_region(self, region: np.ndarray) -> np.ndarray:
        """A region of the image, bool `[H, W]`, aligned as it; False where the image ends.

        >>> Motion(x=-1).undo_region(np.ones((2, 3), bool)).astype(int)
        array([[0, 1, 1],
               [0, 1, 1]])
        """
        if self.is_none:
            return region
        height, width = region.shape
        aligned = cv2.warpAffine(
            region.astype(np.uint8),
            self.matrix(height, width),
            (width, height),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        )
        return np.asarray(aligned > 0)

    def undo_mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask, bool `[H, W]`, aligned as its image; no defect that stays inside vanishes.

        >>> mask = np.zeros((40, 40), bool)
        >>> mask[20, 20] = True
        >>> np.argwhere(Motion(x=3.4, y=-2, turn=1).undo_mask(mask)).tolist()
        [[22, 17]]
        """
        if self.is_none or not mask.any():
            return mask
        aligned = self.undo_region(mask)
        height, width = mask.shape
        rows, columns = np.nonzero(mask)  # nearest neighbours can miss a hairline
        back = cv2.invertAffineTransform(self.matrix(height, width))
        x, y = np.rint(back @ np.stack([columns, rows, np.ones(len(rows))])).astype(int)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        aligned[y[inside], x[inside]] = True
        return aligned

    def redo(self, values: np.ndarray) -> np.ndarray:
        """A map of the aligned image brought back to the image as it was given.

        Where the aligned image does not reach, it has its lowest value.

        Args:
            values: float32 `[H, W]`; NaN where nothing is inspected, not everywhere.
        """
        if self.is_none:
            return values
        height, width = values.shape
        outside, least = np.isnan(values), float(np.nanmin(values))
        matrix, size = self.matrix(height, width), (width, height)
        known = np.where(outside, np.float32(least), values) if outside.any() else values
        given = np.asarray(cv2.warpAffine(known, matrix, size, borderValue=least))
        if outside.any():
            moved = cv2.warpAffine(outside.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST)
            given[moved > 0] = np.nan
        return given

    def __str__(self) -> str:
        turned = f", turned by {self.turn:.1f}°" if self.turn else ""
        return f"moved by {self.x:.1f}, {self.y:.1f} pixels{turned}"
