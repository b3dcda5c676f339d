"""Pictures of what is taught: each image with its defect, and the mask, to correct it."""

from collections import Counter
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

    The mask has the size of the image and can be corrected and given to `teach --mask`. No file is
    replaced: it may be the image itself, or a mask that was corrected.

    Raises:
        DataError: where a file is there already, or the folder cannot be written.
    """
    written: list[str] = []

    def write(name: str, picture: np.ndarray) -> None:
        path = folder / name
        if path.exists():
            raise DataError(
                f"{path} is there already, and is not replaced. Give another folder for --pictures."
            )
        write_png(path, picture)
        written.append(str(path))

    try:
        folder.mkdir(parents=True, exist_ok=True)
        stems = Counter[str]()
        for one in taught:
            stem = Path(one.name).stem or "image"
            stems[stem] += 1
            stem = f"{stem}-{stems[stem]}" if stems[stem] > 1 else stem
            picture = one.original.copy()
            if one.mask is not None:
                height, width = picture.shape[:2]
                mask = resize_mask(one.mask, width, height)
                contours, _ = cv2.findContours(
                    mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
                )
                cv2.drawContours(picture, contours, -1, _COLOUR, max(1, width // 300))
                write(f"{stem}-mask.png", mask)
            write(f"{stem}.png", picture)
    except OSError as error:
        raise DataError(f"cannot write pictures into {folder}: {error.strerror}.") from None
    return written
