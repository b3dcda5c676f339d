"""Reading masks: which pixels of a file mark a defect (thesis 3.2).

The background is the commonest value on the border of a mask; whatever else is marked counts. What
cannot be told for certain is asked: an "ignore" label, a mask that covers most of its image.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.mask_rule import ASK, PUBLISHED, MaskRule
from patchcore_dual.data.mask_values import (
    codes_of,
    mask_pixels,
    open_upright,
    picture_error,
    scale_of,
)
from patchcore_dual.errors import DataError, ImageError

# Distances of colours, in parts of 255.
NOISE = 8  # of lossy compression, at most
FAINT = 24  # nearer colours are one colour
OFF_COLOUR = 64  # farther from every blend of two colours is a colour of its own
MAX_COLOURS = 32  # a picture with more, blends left aside, is no mask
MAX_LABEL = 50  # labels of classes are at most this, beside 255 for "ignore"
MIN_UNEVEN = 3  # this many colours without an even area are a smooth outline, not labels

_LOSSY_FORMATS = frozenset({"JPEG", "MPO", "AVIF"})
_OFTEN_LOSSY = frozenset({"WEBP", "JPEG2000"})


class MaskReading(NamedTuple):
    """A mask, bool [H, W], and whether its file is dark on a bright background."""

    mask: NDArray[np.bool_]
    is_dark_on_bright: bool


def read_mask(path: Path | str, rule: MaskRule = ASK) -> NDArray[np.bool_]:
    """Read a mask file as people and annotation tools make them.

    The background is the commonest value (colour, label) on the border; every other value counts.
    Blends between two values, as along smooth outlines and in compressed files, belong to the
    nearer one. Transparency counts where it differs between pixels.

    Args:
        path: the file.
        rule: answers to what would be asked.

    Returns:
        bool [H, W], True in defects.

    Raises:
        ImageError: the file is missing, truncated, not an image, or has several pages.
        DataError: it has to be asked what the file means; the message says how to answer.

    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     labels = np.array([[0, 0, 0, 0], [0, 100, 255, 0], [0, 0, 0, 0]], np.uint8)
    ...     Image.fromarray(labels).save(f"{folder}/mask.png")
    ...     read_mask(f"{folder}/mask.png")[1]
    array([False,  True,  True, False])
    """
    return read_source_mask([Path(path)], rule).mask


def read_source_mask(paths: Sequence[Path], rule: MaskRule = ASK) -> MaskReading:
    """Read the mask files of one image: what any of them marks is a defect.

    Raises:
        ImageError, DataError: as for `read_mask`; also for masks of different sizes.
    """
    readings = [_read(path, rule) for path in paths]
    for path, reading in zip(paths, readings, strict=True):
        if reading.mask.shape != readings[0].mask.shape:
            raise ImageError(f"{path} and {paths[0]} are masks of one image but differ in size.")
    mask = np.logical_or.reduce([reading.mask for reading in readings])
    if not rule.may_be_large and mask.mean() > 0.5:
        raise DataError(
            f"{paths[0]} marks {mask.mean():.0%} of its image as a defect. If the mask is "
            "inverted, invert it; if the defect is that large, say so with --large-masks."
        )
    return MaskReading(mask, any(reading.is_dark_on_bright for reading in readings))


def read_prepared_mask(path: Path | str) -> NDArray[np.bool_]:
    """Read a mask of a prepared data set, where 0 is the background and 255 a defect.

    A file with other values, as another program may save it, is read as by `read_mask`.

    Returns:
        bool [H, W], True in defects.

    Raises:
        ImageError: as for `read_mask`.
    """
    image = open_upright(Path(path))
    if image.mode in ("1", "L"):
        grey = np.asarray(image.convert("L"))
        mask = grey == 255
        if not grey[~mask].any():
            return mask
    return read_mask(path, PUBLISHED)


def _read(path: Path, rule: MaskRule) -> MaskReading:
    image = open_upright(path)
    pixels, labels = mask_pixels(image, path)
    codes, colours = codes_of(pixels, path)
    if len(colours) == 1:
        return _read_even(path, codes.shape, colours[0], rule, image.format in _LOSSY_FORMATS)
    is_lossy = image.format in _LOSSY_FORMATS or (
        image.format in _OFTEN_LOSSY and len(colours) > NOISE
    )
    background = _background(path, codes, colours, rule, is_lossy)
    ignored = _ignored(path, labels, codes == background, rule)
    colours = colours * scale_of(pixels)
    distance = np.abs(colours - colours[background]).max(axis=1)
    if is_lossy and distance.max() <= NOISE:
        mask = np.zeros(codes.shape, np.bool_)
    elif is_lossy and distance.max() <= FAINT:
        raise DataError(
            f"{path} marks so faintly that it cannot be told from the noise of its compression. "
            "Save the mask as PNG, its defects in white."
        )
    elif is_lossy or (distance.max() > FAINT and _is_smooth(codes, background)):
        mask = _nearest_is_marked(path, codes, colours, background, is_lossy)
    else:
        mask = codes != background
    if ignored is not None:
        mask &= ~ignored
    visible = colours[background][:3]
    is_transparent = colours.shape[1] == 4 and colours[background][3] < 128
    is_bright = bool(visible.mean() > 127) and pixels.dtype != np.float64 and not is_transparent
    return MaskReading(mask, is_bright and bool(mask.any()))


def _read_even(
    path: Path, shape: tuple[int, ...], colour: NDArray[Any], rule: MaskRule, is_lossy: bool
) -> MaskReading:
    """A mask of one value: black marks nothing; anything else may mean all or nothing."""
    if np.all(colour <= (NOISE if is_lossy else 0)):
        return MaskReading(np.zeros(shape, np.bool_), False)
    if rule.may_be_large:
        return MaskReading(np.ones(shape, np.bool_), False)
    raise DataError(
        f"{path} has one value everywhere: it marks all of its image, or nothing. Make it black or "
        "remove it where nothing is marked; if all is defective, say so with --large-masks."
    )


def _background(
    path: Path, codes: NDArray[Any], colours: NDArray[Any], rule: MaskRule, is_lossy: bool
) -> int:
    """The code of the background: the commonest on the border, the darkest of equally common."""
    border = np.concatenate([codes[0], codes[-1], codes[1:-1, 0], codes[1:-1, -1]])
    counts = np.bincount(border, minlength=len(colours))
    darkness = -np.abs(colours.astype(np.float64)).sum(axis=1)
    commonest = int(np.lexsort((darkness, counts))[-1])
    if is_lossy:  # Noise spreads one colour over many: compare those with all that are near them.
        present = counts.argsort()[-MAX_COLOURS:]
        near = [counts[np.abs(colours - colours[i]).max(axis=1) <= FAINT].sum() for i in present]
        commonest = int(present[len(near) - 1 - int(np.argmax(near[::-1]))])
        counts = np.bincount([commonest], [np.max(near)], len(colours)).astype(int)
    darkest = int(darkness.argmax())
    if colours[darkest].any() or darkest == commonest:
        return commonest
    if rule.may_be_large and counts[darkest]:
        return darkest
    if counts[darkest] > 0.25 * len(border):
        raise DataError(
            f"{path} has black along {counts[darkest] / len(border):.0%} of its border and another "
            "value along more: which is the background cannot be told. If black is, say "
            "--large-masks; else invert the mask."
        )
    return commonest


def _ignored(
    path: Path, labels: NDArray[Any] | None, is_background: NDArray[np.bool_], rule: MaskRule
) -> NDArray[np.bool_] | None:
    """The pixels that a label leaves out; None where there is no such label."""
    if labels is None or rule.ignore == "count":
        return None
    if rule.ignore != "ask":
        return np.asarray(labels == rule.ignore)
    void = labels == 255
    if not void.any() or (void & is_background).any():
        return None
    others = np.unique(labels[~void & ~is_background])
    if not len(others) or others.max() > MAX_LABEL:
        return None
    raise DataError(
        f"{path} has the label 255 beside {', '.join(map(str, others[:5]))}. In masks of PASCAL "
        "VOC and others, 255 means: ignore. Say --ignore-label 255 if it does here, or "
        "--ignore-label none to count those pixels as defects."
    )


def _is_smooth(codes: NDArray[Any], background: int) -> bool:
    """Whether outlines run through blends: several colours of which no 2x2 pixels are even."""
    even = (codes[:-1, :-1] == codes[1:, :-1]) & (codes[:-1, :-1] == codes[:-1, 1:])
    even &= codes[:-1, :-1] == codes[1:, 1:]
    supported = set(np.unique(codes[:-1, :-1][even])) | {background}
    return int(codes.max()) + 1 - len(supported) >= MIN_UNEVEN


def _nearest_is_marked(
    path: Path, codes: NDArray[Any], colours: NDArray[Any], background: int, is_lossy: bool
) -> NDArray[np.bool_]:
    """Where the nearest of the mask's own colours, blends left aside, is not the background."""
    levels = [colours[background]]
    counts = _even_areas(codes, colours, is_lossy)
    counts[np.abs(colours - levels[0]).max(axis=1) <= FAINT] = 0
    while counts.any() and len(levels) <= MAX_COLOURS:
        levels.append(colours[counts.argmax()])
        counts[np.abs(colours - levels[-1]).max(axis=1) <= FAINT] = 0
    distance = _distance_from_blends(colours, levels)
    while distance.max() > OFF_COLOUR and len(levels) <= MAX_COLOURS:
        level = colours[distance.argmax()]
        # A smooth spot that is nowhere quite white is white.
        is_grey_on_black = not levels[0].any() and level.min() == level.max() > 127
        levels.append(np.full_like(level, 255) if is_grey_on_black else level)
        distance = np.minimum(distance, _distance_from_blends(colours, [levels[0], levels[-1]]))
    if len(levels) > MAX_COLOURS:
        raise picture_error(path)
    apart = np.stack([np.square(colours - level).sum(axis=1) for level in levels])
    is_marked = apart.argmin(axis=0) > 0
    return np.asarray(is_marked[codes])


def _even_areas(codes: NDArray[Any], colours: NDArray[Any], is_lossy: bool) -> NDArray[np.int64]:
    """For each colour, the number of its pixels whose 3x3 neighbourhood is even."""
    box = np.ones((3, 3), np.uint8)
    # Outside the image, cv2 pads with the neutral element.
    if is_lossy:
        even = np.ones(codes.shape, np.bool_)
        for channel in colours.astype(np.float32).T:
            values = channel[codes]
            even &= cv2.dilate(values, box) - cv2.erode(values, box) <= NOISE
    else:
        values = codes.astype(np.float32)
        even = cv2.dilate(values, box) == cv2.erode(values, box)
    return np.bincount(codes[even], minlength=len(colours))


def _distance_from_blends(
    colours: NDArray[Any], levels: Sequence[NDArray[Any]]
) -> NDArray[np.float64]:
    """The distance of each colour from the nearest blend of the first level and another."""
    start = levels[0]
    nearest = np.abs(colours - start).max(axis=1)
    for end in levels[1:]:
        way = end - start
        share = np.clip((colours - start) @ way / max(float(way @ way), 1e-12), 0, 1)
        nearest = np.minimum(nearest, np.abs(colours - start - share[:, None] * way).max(axis=1))
    return np.asarray(nearest)
