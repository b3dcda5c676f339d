"""Writing the images, masks and crops of a prepared folder."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.alignment import Aligner
from patchcore_dual.data.crops import crop_boxes
from patchcore_dual.data.mask_orientation import match_mask
from patchcore_dual.data.masks import read_source_mask
from patchcore_dual.data.prepare.placement import Placed
from patchcore_dual.data.prepare.scanning import Scan
from patchcore_dual.data.reading import read, write_png
from patchcore_dual.data.resizing import resize_image, resize_mask
from patchcore_dual.data.sample import Sample
from patchcore_dual.utils.motion import Motion
from patchcore_dual.utils.progress import Progress

Size = tuple[int, int]
"""Width and height in pixels."""


class Written(NamedTuple):
    """What `write_all` wrote.

    Attributes:
        samples: of the manifest.
        n_crops: number of crops.
        not_aligned: why each image that could not be aligned was left out, by name.
    """

    samples: list[Sample]
    n_crops: int
    not_aligned: dict[str, str]


class Rendered(NamedTuple):
    """An image as it is prepared.

    Attributes:
        image: uint8 `[H, W, 3]`.
        mask: bool `[H, W]`.
        motion: how its part lay; None where images are not aligned.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    motion: Motion | None


def write_all(
    placed: Sequence[Placed],
    folder: Path,
    size: Size | None,
    bit_depth: int | None,
    progress: Progress,
    aligner: Aligner | None = None,
) -> Written:
    """Write every image into a new folder, except those that cannot be aligned.

    Args:
        placed: the images.
        folder: exists, and is empty.
        size: of every image; None keeps their own.
        bit_depth: of the data set's 16-bit files.
        progress: called after each image.
        aligner: aligns every image; None leaves them as they are.
    """
    for side in ("train", "test"):
        for name in ("negative", "positive", "masks", "crops"):
            (folder / side / name).mkdir(parents=True)
    samples: list[Sample] = []
    n_crops, not_aligned = 0, {}
    for done, one in enumerate(placed):
        progress("writing images", done, len(placed))
        rendered = render(one.scan, size, bit_depth, aligner)
        if rendered.motion is not None and rendered.motion.reason:
            not_aligned[one.scan.name] = rendered.motion.reason
            continue
        sample, crops = _write_one(one, folder, rendered)
        samples.append(sample)
        n_crops += crops
    progress("writing images", len(placed), len(placed))
    return Written(samples, n_crops, not_aligned)


def render(
    scan: Scan, size: Size | None, bit_depth: int | None, aligner: Aligner | None = None
) -> Rendered:
    """An image and its mask as they are prepared, aligned where that is asked for."""
    raw = scan.sample
    image, how_read = read(raw.image, bit_depth)
    width, height = size or (image.shape[1], image.shape[0])
    mask = np.zeros(image.shape[:2], dtype=np.bool_)
    if raw.mask and scan.defect_area:
        mask = read_source_mask(raw.masks, raw.mask_rule).mask
        mask, _ = match_mask(mask, image, how_read.orientation)
    resized = resize_image(image, width, height)
    motion = None
    if aligner is not None:
        motion = aligner.find(resized, (image.shape[1], image.shape[0]))
        if scan.defect_area and not motion.undo_mask(mask).any():
            motion = replace(motion, reason="its defect lies outside of the aligned view")
        if not motion.reason and not motion.is_none:
            resized = resize_image(motion.undo(image), width, height)
            mask = motion.undo_mask(mask)
    return Rendered(resized, resize_mask(mask, width, height), motion)


def write_crops(
    folder: Path, side: str, name: str, image: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> int:
    """Write a crop for each defect of a mask; their number."""
    boxes = crop_boxes(mask)
    for number, box in enumerate(boxes):
        write_png(folder / side / "crops" / f"{name}-{number}.png", box.cut(image))
    return len(boxes)


def _write_one(placed: Placed, folder: Path, rendered: Rendered) -> tuple[Sample, int]:
    scan, side = placed.scan, placed.split
    raw = scan.sample
    image, mask, motion = rendered
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
        provenance={"alignment": _plain(motion)} if motion is not None else {},
    )
    return sample, n_crops


def _plain(motion: Motion) -> dict[str, float]:
    """A motion for the manifest, to a hundredth of a pixel and of a degree."""
    facts = asdict(motion)
    return {name: round(facts[name], 2) for name in ("x", "y", "turn", "confidence")}
