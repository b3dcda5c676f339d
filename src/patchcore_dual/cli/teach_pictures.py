"""Pictures of what `teach` is told: each image with its defect, and the mask, to correct it."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from patchcore_dual.data.reading import write_png
from patchcore_dual.data.resizing import resize_mask
from patchcore_dual.errors import DataError
from patchcore_dual.live import LearnedImage

_COLOUR = (214, 48, 49)


def write_pictures(taught: Sequence[LearnedImage], folder: Path) -> list[str]:
    """Write STEM.png and, of a defect, STEM-mask.png for each image; give what was written.

    The mask has the size of the image and can be corrected and given to `teach --mask`.

    Raises:
        DataError: where the folder cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in taught:
            stem = Path(one.name).stem or "image"
            picture = one.original.copy()
            if one.mask is not None:
                height, width = picture.shape[:2]
                mask = resize_mask(one.mask, width, height)
                contours, _ = cv2.findContours(
                    mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
                )
                cv2.drawContours(picture, contours, -1, _COLOUR, max(1, width // 300))
                write_png(folder / f"{stem}-mask.png", mask)
                written.append(str(folder / f"{stem}-mask.png"))
            write_png(folder / f"{stem}.png", picture)
            written.append(str(folder / f"{stem}.png"))
    except OSError as error:
        raise DataError(f"cannot write pictures into {folder}: {error.strerror}.") from None
    return written
