"""`TrainingPictures`: the training images that nearest patches come from, as far as at hand."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from patchcore_dual.data.light import without_change
from patchcore_dual.data.reading import read_image
from patchcore_dual.data.resizing import resize_image
from patchcore_dual.errors import ImageError
from patchcore_dual.live.images import read_rows
from patchcore_dual.scoring import Match

LEAST_SIDE, CELLS = 64, 4  # of a thumbnail: at least so many pixels, and cells of the grid
_FRAME = (214, 48, 49)


@dataclass(frozen=True, eq=False)
class TrainingPictures:
    """Gives a picture of the patch that a bank's vector came from.

    A model keeps no pictures but those that teaching keeps in its folder `images`. Other training
    images are read from the prepared folder, where that is still at hand.

    Attributes:
        folder: where teaching keeps its pictures; None for nowhere.
        prepared: gives the prepared folder; called once, when it is needed.
        size: width and height of the model's images; None where they keep their own.
        stride: pixels from one cell of the grid to the next.
    """

    folder: Path | None
    prepared: Callable[[], Path | None]
    size: tuple[int, int] | None
    stride: int

    def __call__(self, match: Match) -> np.ndarray | None:
        """The patch and what surrounds it, uint8 `[h, w, 3]`, its cell framed; None if not at hand.

        An image that has changed since shows what it shows now.
        """
        image = self._image(match.image)
        if image is None:
            return None
        height, width = image.shape[:2]
        side = min(max(LEAST_SIDE, CELLS * self.stride), height, width)
        y, x = (int((cell + 0.5) * self.stride) for cell in (match.row, match.column))
        top = min(max(0, y - side // 2), height - side)
        left = min(max(0, x - side // 2), width - side)
        picture = image.copy()
        _frame(picture, match.row * self.stride, match.column * self.stride, self.stride)
        return picture[top : top + side, left : left + side]

    def _image(self, name: str) -> np.ndarray | None:
        path = self._kept.get(name)
        prepared = self._prepared
        if path is None and prepared is not None:
            path = prepared / name
            if not path.is_file():  # a variant of an image in other light
                path = prepared / without_change(name)
        if path is None or not path.is_file():
            return None
        try:
            image = read_image(path)
        except ImageError:
            return None
        return np.asarray(resize_image(image, *self.size) if self.size else image)

    @cached_property
    def _kept(self) -> dict[str, Path]:
        return {} if self.folder is None else picture_files(self.folder)

    @cached_property
    def _prepared(self) -> Path | None:
        return self.prepared()


def picture_files(folder: Path) -> dict[str, Path]:
    """The picture of each training image that teaching keeps in a folder, by the image's name."""
    found: dict[str, Path] = {}
    for index in sorted(folder.glob("*.json")):
        for name, row in read_rows(index)[0].items():
            stem = f"{index.stem.partition('-')[0]}-{(row.sha256 or row.pixels)[:32]}"
            for suffix in (".png", ".jpg"):
                if (folder / f"{stem}{suffix}").is_file():
                    found.setdefault(name, folder / f"{stem}{suffix}")
    return found


def _frame(picture: np.ndarray, top: int, left: int, side: int) -> None:
    """Draw a frame around a cell, one pixel wide, into the picture."""
    bottom, right = top + side - 1, left + side - 1
    rows, columns = slice(max(0, top), bottom + 1), slice(max(0, left), right + 1)
    for row in (top, bottom):
        if 0 <= row < picture.shape[0]:
            picture[row, columns] = _FRAME
    for column in (left, right):
        if 0 <= column < picture.shape[1]:
            picture[rows, column] = _FRAME
