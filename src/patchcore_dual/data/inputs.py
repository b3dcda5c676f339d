"""Reads what is to be inspected, files or arrays, and brings it to the model's size."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image as Pillow

from patchcore_dual.data import pixels as source
from patchcore_dual.data.alignment import Aligner
from patchcore_dual.data.pixels import read_pixels
from patchcore_dual.data.resizing import resize_image, resizing_note
from patchcore_dual.data.roi import region_for, resize_region
from patchcore_dual.errors import DataError, ImageError
from patchcore_dual.utils.motion import Motion
from patchcore_dual.utils.prefetch import prefetch

__all__ = ["Image", "InRegion", "InputImage", "OnError", "read_input", "read_inputs"]

LARGE = 2**24  # pixels of an image, beyond which none is read while another is worked on
LEAST_SEEN = 0.5  # of a region of interest, in an image that is aligned

OnError = Literal["raise", "yield"]


class InRegion(NamedTuple):
    """An image of which a region alone is inspected; it can be given in place of the image.

    Attributes:
        image: the image.
        region: bool `[H, W]`, True where it is inspected, of the image's size or proportions; None
            inspects all of it.
    """

    image: source.Image
    region: np.ndarray | None


Image = source.Image | InRegion
"""What can be inspected: see `data.pixels.Image`, or a region of one."""


class InputImage(NamedTuple):
    """An image as it was given, and at the model's size.

    Attributes:
        name: what it is called; a file's path by default.
        original: uint8 `[H, W, 3]`, contiguous; never the caller's own array, which a camera may
            fill with its next frame.
        resized: uint8 `[h, w, 3]`; `original` itself where no resizing is needed.
        how_read: what is to be known of how its file was read, in words.
        region: bool `[h, w]`, where it is inspected, at the model's size; None for everywhere.
        motion: how its part lies against the reference, which `resized` and `region` have undone
            unless it has a `reason`; None where images are not aligned.
    """

    name: str
    original: np.ndarray
    resized: np.ndarray
    how_read: str = ""
    region: np.ndarray | None = None
    motion: Motion | None = None

    @property
    def note(self) -> str:
        """How it was read and resized, in words; empty where there is nothing to say."""
        is_resized = self.resized.shape != self.original.shape
        resizing = resizing_note(self.original, self.resized) if is_resized else ""
        return "; ".join(note for note in (self.how_read, resizing) if note)

    def aligned(self, aligner: Aligner | None, roi: np.ndarray | None = None) -> "InputImage":
        """The image aligned to a reference; as it is where it cannot be, or without an aligner.

        The image as it was given is moved and then resized, so that pixels are interpolated once.

        Args:
            roi: the model's region of interest, bool `[H, W]`; None for everywhere. An image that
                shows less than half of what is to be inspected cannot be inspected.
        """
        if aligner is None:
            return self
        (height, width), (rows, columns) = self.original.shape[:2], self.resized.shape[:2]
        motion = aligner.find(self.resized, (width, height))
        if motion.reason or motion.is_none:
            return self._replace(motion=motion)
        region = self.region
        if region is not None or roi is not None:
            given = np.ones((rows, columns), bool) if region is None else region
            seen = motion.scaled(columns / width).undo_region(given)
            region = None if region is None else seen
            inside = True if roi is None else resize_region(roi, columns, rows)
            if (seen & inside).sum() <= LEAST_SEEN * (given & inside).sum():
                reason = f"its region of interest is out of view: the part is {motion}"
                return self._replace(region=None, motion=replace(motion, reason=reason))
        resized = resize_image(motion.undo(self.original), columns, rows)
        return self._replace(resized=resized, region=region, motion=motion)

    def as_given(self, anomaly_map: np.ndarray) -> np.ndarray:
        """An anomaly map, float32 `[H, W]`, where the part lies in the image as it was given."""
        if self.motion is None or self.motion.reason:
            return anomaly_map
        return self.motion.redo(anomaly_map)

    def aligned_mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask drawn on the image as it was given, bool `[h, w]` of any size, aligned as it."""
        if self.motion is None or self.motion.reason:
            return mask
        return self.motion.scaled(mask.shape[1] / self.original.shape[1]).undo_mask(mask)


def read_input(
    image: Image,
    size: tuple[int, int] | None,
    name: str = "",
    bit_depth: int | None = None,
) -> InputImage:
    """Read what is to be inspected, and bring it to the model's size.

    >>> frame = np.zeros((40, 30, 3), np.uint8)
    >>> read_input(frame, size=(15, 20)).note
    "resized from 30x40 to the model's 15x20"

    Args:
        size: width and height; None leaves images as they are.
        bit_depth: of 16-bit files; see `read_image`.

    Raises:
        ImageError: for a file that cannot be read, something else than an `Image`, or a region
            of other proportions than its image.
    """
    region = None
    if isinstance(image, InRegion):
        image, region = image
    pixels, name, how_read = read_pixels(image, name, bit_depth)
    resized = resize_image(pixels, *size) if size else pixels
    if region is not None:
        sizes = [(one.shape[1], one.shape[0]) for one in (resized, pixels)]
        try:
            region = region_for(region, sizes, what=f"{name or 'the image'} is")
        except DataError as error:  # of this image, after which others may follow
            raise ImageError(str(error)) from None
    return InputImage(name, pixels, resized, how_read, region)


def read_inputs(
    images: Iterable[Image],
    size: tuple[int, int] | None,
    on_error: OnError = "raise",
    bit_depth: int | None = None,
) -> Iterator[InputImage | ImageError]:
    """Read one image after the other; from a list, the next two while one is worked on,
    unless they are large.

    From an iterator, as of a camera, the next image is taken only when it is asked for.

    Args:
        size, bit_depth: see `read_input`.
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
            return read_input(image, size, bit_depth=bit_depth)
        except ImageError as error:
            if on_error == "raise":
                raise
            return error

    is_large = size is not None and size[0] * size[1] > LARGE  # and takes long enough to inspect
    return prefetch(read, images, 2 if isinstance(images, Sequence) and not is_large else 0)
