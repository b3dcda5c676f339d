"""Reads what is to be inspected, files or arrays, and brings it to the model's size."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image as Pillow

from patchcore_dual.data.pixels import Image, read_pixels
from patchcore_dual.data.resizing import resize_image, resizing_note
from patchcore_dual.errors import ImageError
from patchcore_dual.utils.prefetch import prefetch

__all__ = ["Image", "InputImage", "OnError", "read_input", "read_inputs"]

OnError = Literal["raise", "yield"]


class InputImage(NamedTuple):
    """An image as it was given, and at the model's size.

    Attributes:
        name: what it is called; a file's path by default.
        original: uint8 `[H, W, 3]`, contiguous; never the caller's own array, which a camera may
            fill with its next frame.
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
        ImageError: for a file that cannot be read, or something else than an `Image`.
    """
    pixels, name = read_pixels(image, name)
    return InputImage(name, pixels, resize_image(pixels, *size) if size else pixels)


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

    if isinstance(images, str | bytes | os.PathLike | Pillow.Image):
        raise ImageError(
            f"{type(images).__name__} is one image, or a folder. Give a list of images, as of "
            "data.reading.list_images."
        )

    def read(image: Image) -> InputImage | ImageError:
        try:
            return read_input(image, size)
        except ImageError as error:
            if on_error == "raise":
                raise
            return error

    return prefetch(read, images, 2 if isinstance(images, Sequence) else 0)
