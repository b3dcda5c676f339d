"""The thesis's Fig. 1: rows of normal parts, real defects, and each generator's images."""

import logging
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from patchcore_dual.data.crops import MIN_SIDE, Box, crop_boxes
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.errors import DataError
from patchcore_dual.experiments.pictures import FONT, GAP, INK, RED, Picture, fit
from patchcore_dual.experiments.synthetic_source import (
    DIAG,
    SyntheticSource,
    can_make,
    display_name,
)
from patchcore_dual.synthesis import CPU_GENERATORS
from patchcore_dual.training.estimate import in_words
from patchcore_dual.utils.progress import Progress, silent

_log = logging.getLogger(__name__)

COLUMNS = 6
_IMAGE = (160, 240)  # largest size of an image, width and height in pixels
_CROP = (160, 160)
_LABEL = 110  # width of the row labels

Shown = tuple[Picture, NDArray[np.bool_] | None]
"""An image uint8 `[H, W, 3]`, and its defect bool `[H, W]` where it has one."""


def figure1(
    manifest: Manifest, seed: int = 0, progress: Progress = silent
) -> tuple[Picture, list[str]]:
    """The figure, and the names of its rows.

    Every image is above a crop around its defect, so that small defects are visible. A generator's
    images are the prepared set's own where it has some, else they are made.

    Args:
        manifest: a prepared data set; its training images are shown.
        seed: of the images that are made.
        progress: called with the stage, the steps done and their number.

    Returns:
        The figure, uint8 `[h, w, 3]`, RGB, and the names.

    Raises:
        DataError: where there are no normal training images.
    """
    real = manifest.real().part("train")
    normal = _spread(real.part(label="negative").samples)
    if not normal:
        raise DataError(
            f"{manifest.folder} has no normal training images to show. Prepare it again."
        )
    defective = _spread([s for s in real.part(label="positive") if s.mask_is_known])
    rows = {"Normal": normal, "Real defects": defective}
    shown = {name: [_read(manifest, s) for s in samples] for name, samples in rows.items()}
    source = SyntheticSource(seed, progress)
    generators = _generators(manifest)
    started = time.perf_counter()
    for done, generator in enumerate(generators):
        if done == 1 and (seconds := time.perf_counter() - started) > 1:
            _log.info("What is left takes about %s.", in_words(seconds * (len(generators) - 1)))
        own = [s for s in manifest.synthetic() if s.origin == generator]
        count = min(COLUMNS, len(own)) or COLUMNS
        # The images are read at once, since the source removes them when it makes the next ones.
        made = source(manifest, generator, count)
        shown[display_name(generator)] = [_read(manifest, s) for s in made]
    shown = {name: images for name, images in shown.items() if images}
    return _draw(shown), list(shown)


def _generators(manifest: Manifest) -> list[str]:
    """CPU generators that can be shown, and others of which the set has images; DIAG last."""
    own = dict.fromkeys(s.origin for s in manifest.synthetic())
    ours = [g for g in CPU_GENERATORS if g in own or can_make(g, manifest)]
    return sorted(dict.fromkeys([*ours, *own]), key=lambda g: g == DIAG)


def _spread(samples: Sequence[Sample]) -> list[Sample]:
    """At most as many as there are columns, evenly spread over the list."""
    places = np.linspace(0, len(samples) - 1, min(COLUMNS, len(samples)))
    return [samples[int(i)] for i in places.round()]


def _read(manifest: Manifest, sample: Sample) -> Shown:
    image = manifest.read_image(sample)
    path = manifest.mask_path(sample) if sample.is_defective else None
    return image, None if path is None else manifest.read_mask(sample)


def _window(image: Picture, mask: NDArray[np.bool_] | None) -> Box:
    """A box around the largest defect, or in the centre of a normal image; square if it fits."""
    height, width = image.shape[:2]
    box = Box(width // 2 - MIN_SIDE, height // 2 - MIN_SIDE, 2 * MIN_SIDE, 2 * MIN_SIDE)
    if mask is not None and mask.any():
        box = max(crop_boxes(mask), key=lambda box: int(box.cut(mask).sum()))
    side = max(box.width, box.height)
    columns, rows = min(side, width), min(side, height)
    x = min(max(box.x + (box.width - columns) // 2, 0), width - columns)
    y = min(max(box.y + (box.height - rows) // 2, 0), height - rows)
    return Box(x, y, columns, rows)


def _draw(shown: dict[str, list[Shown]]) -> Picture:
    rows = {
        name: [(image, _window(image, mask)) for image, mask in images]
        for name, images in shown.items()
    }
    panels = {name: [_panel(*cell) for cell in cells] for name, cells in rows.items()}
    width = max(p.width for cells in panels.values() for p in cells)
    heights = {name: max(p.height for p in cells) for name, cells in panels.items()}
    size = (
        _LABEL + COLUMNS * (width + GAP) + GAP,
        sum(heights.values()) + (len(rows) + 1) * 2 * GAP,
    )
    canvas = Image.new("RGB", size, (255, 255, 255))
    pen = ImageDraw.Draw(canvas)
    top = 2 * GAP
    for name, cells in panels.items():
        pen.text((GAP, top), name, fill=INK, font=FONT)
        for column, panel in enumerate(cells):
            canvas.paste(panel, (_LABEL + column * (width + GAP), top))
        top += heights[name] + 2 * GAP
    return np.asarray(canvas)


def _panel(image: Picture, box: Box) -> Image.Image:
    """The image with its crop framed, above the crop."""
    whole, crop = fit(image, _IMAGE), fit(box.cut(image), _CROP)
    scale = whole.width / image.shape[1]
    corners = (box.x, box.y, box.x + box.width - 1, box.y + box.height - 1)
    ImageDraw.Draw(whole).rectangle([round(c * scale) for c in corners], outline=RED)
    size = (max(whole.width, crop.width), whole.height + GAP // 2 + crop.height)
    panel = Image.new("RGB", size, (255, 255, 255))
    panel.paste(whole, (0, 0))
    panel.paste(crop, (0, whole.height + GAP // 2))
    return panel
