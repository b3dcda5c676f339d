"""What a mask file holds, as numbers: its values, a code for each distinct one, and labels."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from patchcore_dual.data.decoding import decode, turn_image
from patchcore_dual.errors import DataError, ImageError

MAX_DISTINCT = 2**18 - 1  # blends and noise of compression make fewer distinct colours
VOID = (224, 224, 192)  # the colour of label 255 in the palette of PASCAL VOC


def open_upright(path: Path) -> Image.Image:
    """The decoded file, upright by its EXIF orientation; `format` is that of the file.

    Raises:
        ImageError: the file is missing, truncated, not an image, or has several pages.
    """
    decoded = decode(path, with_values=False)
    assert decoded is not None
    if decoded.n_pages > 1:
        raise ImageError(
            f"{path} has {decoded.n_pages} pages; save each page of the mask as a file."
        )
    upright = turn_image(decoded.image, decoded.orientation)
    upright.format = decoded.image.format
    return upright


def mask_pixels(image: Image.Image, path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """A mask's values [H, W, C] and, where they are numbers of classes, these numbers [H, W].

    Raises:
        ImageError: a floating-point mask has values that are not finite.
    """
    if image.mode == "1":
        return np.asarray(image.convert("L"))[..., None], None
    if image.mode == "F":
        values = np.asarray(image, np.float64)
        if not np.isfinite(values).all():
            raise ImageError(f"{path} has pixels that are no numbers. Save the mask as PNG.")
        return values[..., None], None
    is_grey = image.mode in ("L", "I") or image.mode.startswith("I;16")
    if is_grey and "transparency" not in image.info:
        values = np.asarray(image)
        return values[..., None], values
    labels = np.asarray(image) if image.mode == "P" else None
    if not image.has_transparency_data:
        rgb = np.asarray(image.convert("RGB"))
        if labels is not None and not (rgb != rgb[0, 0]).any():
            return labels[..., None], labels  # A palette that shows all classes alike.
        if labels is None and (rgb == VOID).all(axis=2).any() and (rgb == 0).all(axis=2).any():
            # Colours of VOC: black, 255 for VOID, and 1 for the others.
            labels = np.where((rgb == VOID).all(axis=2), 255, rgb.any(axis=2))
        return rgb, labels
    rgba = np.asarray(image.convert("RGBA"))
    alpha = rgba[..., 3:]
    if (alpha == alpha[0, 0]).all():
        return rgba[..., :3], labels
    seen = np.round(rgba[..., :3].astype(np.float32) * alpha / 255).astype(np.uint8)
    return np.concatenate([seen, alpha], axis=2), labels


def codes_of(pixels: NDArray[Any], path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """A number for each distinct value of `pixels` [H, W, C], as [H, W], and the values [N, C].

    Raises:
        DataError: there are more colours than a mask has.
    """
    if pixels.shape[2] == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    if pixels.shape[2] == 1:
        packed = pixels[..., 0]
        if packed.dtype == np.float64 and len(np.unique(packed)) > MAX_DISTINCT:
            low, high = packed.min(), packed.max()
            packed = np.round((packed - low) / (high - low) * MAX_DISTINCT).astype(np.uint32)
    else:
        packed = np.zeros(pixels.shape[:2], np.uint32)
        for channel in range(pixels.shape[2]):
            packed = packed << 8 | pixels[..., channel]
        if _n_distinct_in_part(packed) > MAX_DISTINCT:
            raise picture_error(path)
    flat = pixels.reshape(-1, pixels.shape[2])
    if packed.dtype.kind != "u" or pixels.shape[2] > 3:
        _, first, codes = np.unique(packed, return_index=True, return_inverse=True)
    else:  # a table is faster than sorting
        place = np.full(int(packed.max()) + 1, -1, np.int64)
        place[packed.ravel()] = np.arange(packed.size)
        first = place[place >= 0]
        place[place >= 0] = np.arange(len(first))
        codes = place[packed]
    if len(first) > MAX_DISTINCT + 1:
        raise picture_error(path)
    return codes.reshape(packed.shape), flat[first].astype(np.float64)


def _n_distinct_in_part(values: NDArray[Any]) -> int:
    """Number of distinct values in about a million pixels, spread over the image."""
    step = max(1, values.size // 2**20)
    return len(np.unique(values.ravel()[::step]))


def scale_of(pixels: NDArray[Any]) -> float:
    """The factor that brings values to the range of 8 bits."""
    if pixels.dtype == np.uint8:
        return 1.0
    highest = float(np.abs(pixels).max())
    if pixels.dtype == np.float64:
        return 255 / max(highest, 1e-12)
    return 1.0 if highest <= 255 else 255 / max(highest, 65535.0)


def picture_error(path: Path) -> DataError:
    """The error for a file that is a picture, not a mask."""
    return DataError(
        f"{path} does not look like a mask: it has the colours of a picture. A mask is black "
        "with the defect in white."
    )
