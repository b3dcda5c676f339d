"""Reads what is to be inspected, files or arrays, and brings it to the model's size."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from patchcore_dual.data.reading import check_image, read_image
from patchcore_dual.data.resizing import resize_image, resizing_note
from patchcore_dual.errors import ImageError
from patchcore_dual.utils.prefetch import prefetch

Image = np.ndarray | Path | str
"""An image uint8 `[H, W, 3]`, RGB, or the path of an image file."""

OnError = Literal["raise", "yield"]


class InputImage(NamedTuple):
    """An image as it was given, and at the model's size.

    Attributes:
        name: what it is called; a file's path by default.
        original: uint8 `[H, W, 3]`.
        resized: uint8 `[h, w, 3]`; `original` itself where no resizing is needed.
    """

    name: str
    original: np.ndarray
    resized: np.ndarray

    @property
    def note(self) -> str:
        """How it was resized, in words; empty where it was not."""
        return "" if self.resized is self.original else resizing_note(self.original, self.resized)


def read_input(image: Image, size: tuple[int, int] | None, name: str = "") -> InputImage:
    """Read what is to be inspected, and bring it to the model's size.

    >>> frame = np.zeros((40, 30, 3), np.uint8)
    >>> read_input(frame, size=(15, 20)).note
    "resized from 30x40 to the model's 15x20"

    Args:
        size: width and height; None leaves images as they are.

    Raises:
        ImageError: for a file that cannot be read, or an array of another kind.
    """
    if not isinstance(image, np.ndarray):
        name = name or str(image)
        image = read_image(image)
    check_image(image, name)
    return InputImage(name, image, resize_image(image, *size) if size else image)


def read_inputs(
    images: Iterable[Image], size: tuple[int, int] | None, on_error: OnError = "raise"
) -> Iterator[InputImage | ImageError]:
    """Read one image after the other; from a list, the next two while one is worked on.

    From an iterator, as of a camera, the next image is taken only when it is asked for.

    Args:
        size: see `read_input`.
        on_error: whether the error of an image that cannot be read is raised, or given in its
            place.
    """

    def read(image: Image) -> InputImage | ImageError:
        try:
            return read_input(image, size)
        except ImageError as error:
            if on_error == "raise":
                raise
            return error

    return prefetch(read, images, 2 if isinstance(images, Sequence) else 0)
