"""Writing the images, masks and crops of a prepared folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.crops import crop_boxes
from patchcore_dual.data.mask_orientation import match_mask
from patchcore_dual.data.masks import read_source_mask
from patchcore_dual.data.prepare.placement import Placed
from patchcore_dual.data.prepare.scanning import Scan
from patchcore_dual.data.reading import read, write_png
from patchcore_dual.data.resizing import resize_image, resize_mask
from patchcore_dual.data.sample import Sample
from patchcore_dual.utils.progress import Progress

Size = tuple[int, int]
"""Width and height in pixels."""


def write_all(
    placed: Sequence[Placed],
    folder: Path,
    size: Size | None,
    bit_depth: int | None,
    progress: Progress,
) -> tuple[list[Sample], int]:
    """Write every image into a new folder.

    Args:
        placed: the images.
        folder: exists, and is empty.
        size: of every image; None keeps their own.
        bit_depth: of the data set's 16-bit files.
        progress: called after each image.

    Returns:
        The samples of the manifest, and the number of crops.
    """
    for side in ("train", "test"):
        for name in ("negative", "positive", "masks", "crops"):
            (folder / side / name).mkdir(parents=True)
    samples, n_crops = [], 0
    for done, one in enumerate(placed):
        progress("writing images", done, len(placed))
        sample, crops = _write_one(one, folder, size, bit_depth)
        samples.append(sample)
        n_crops += crops
    progress("writing images", len(placed), len(placed))
    return samples, n_crops


def render(
    scan: Scan, size: Size | None, bit_depth: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The image, uint8 [H, W, 3], and the mask, bool [H, W], as they are prepared."""
    raw = scan.sample
    image, how_read = read(raw.image, bit_depth)
    width, height = size or (image.shape[1], image.shape[0])
    mask = np.zeros(image.shape[:2], dtype=np.bool_)
    if raw.mask and scan.defect_area:
        mask = read_source_mask(raw.masks, raw.mask_rule).mask
        mask, _ = match_mask(mask, image, how_read.orientation)
    return resize_image(image, width, height), resize_mask(mask, width, height)


def write_crops(
    folder: Path, side: str, name: str, image: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> int:
    """Write a crop for each defect of a mask; their number."""
    boxes = crop_boxes(mask)
    for number, box in enumerate(boxes):
        write_png(folder / side / "crops" / f"{name}-{number}.png", box.cut(image))
    return len(boxes)


def _write_one(
    placed: Placed, folder: Path, size: Size | None, bit_depth: int | None
) -> tuple[Sample, int]:
    scan, side = placed.scan, placed.split
    raw = scan.sample
    image, mask = render(scan, size, bit_depth)
    image_name = f"{side}/{scan.label}/{raw.name}.png"
    mask_name = f"{side}/masks/{raw.name}.png" if scan.mask_is_known else ""
    write_png(folder / image_name, image)
    if mask_name:
        write_png(folder / mask_name, mask)
    n_crops = write_crops(folder, side, raw.name, image, mask)
    sample = Sample(
        image=image_name,
        mask=mask_name,
        label=scan.label,
        split=side,
        kind=raw.kind,
        group=placed.group,
        source=scan.name,
    )
    return sample, n_crops
