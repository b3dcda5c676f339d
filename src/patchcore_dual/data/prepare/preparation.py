"""Making a published data set into a folder that `fit` reads (thesis 3.2).

The images get one size, masks that keep every defect, crops around their defects, a split, and a
manifest that describes them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.data.audit import build_report
from patchcore_dual.data.bit_depth import check_bit_depth, find_bit_depth
from patchcore_dual.data.crops import crop_boxes
from patchcore_dual.data.duplicates import find_exact_duplicates, find_near_duplicates
from patchcore_dual.data.layouts.layout import RawSample
from patchcore_dual.data.layouts.recognise import read_source
from patchcore_dual.data.listing import printable
from patchcore_dual.data.manifest import MANIFEST_NAME, PREPARATION_NAME, Manifest, Sample
from patchcore_dual.data.mask_orientation import match_mask
from patchcore_dual.data.mask_rule import ASK, MaskRule
from patchcore_dual.data.masks import read_source_mask
from patchcore_dual.data.prepare.placement import Placed, SplitSettings, place, settle_copies
from patchcore_dual.data.prepare.reading_notes import reading_notes
from patchcore_dual.data.prepare.scanning import Scan, UnreadableError, bright_mask_notes, scan
from patchcore_dual.data.prepare.summary import PreparationSummary, count, spread
from patchcore_dual.data.reading import read, write_png
from patchcore_dual.data.resizing import resize_image, resize_mask
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.utils.progress import Progress, silent
from patchcore_dual.utils.staging import check_replaceable, staged_folder

CONTENT = "prepared data set"


def prepare(
    layout: str,
    source: Path,
    prepared: Path,
    *,
    width: int | None = None,
    height: int | None = None,
    split: SplitSettings | None = None,
    bit_depth: int | None = None,
    skip_unreadable: bool = False,
    overwrite: bool = False,
    masks: MaskRule = ASK,
    progress: Progress = silent,
) -> PreparationSummary:
    """Prepare a data set for training.

    Images are read one at a time, and twice: once to audit them, once to write them. The same
    call gives the same bytes. `prepared` appears whole at the end or not at all.

    Args:
        layout: how the files of the data set lie: a name from `LAYOUTS`.
        source: the folder of the data set as published.
        prepared: the folder to make. A folder is only replaced if it is empty, or is a prepared
            data set and `overwrite` is True.
        width, height: size of every prepared image in pixels; None for both keeps the sizes.
        split: how train and test are decided.
        bit_depth: how many bits of 16-bit files are used; None finds it from their values.
        skip_unreadable: leave unreadable files out and list them, instead of raising.
        overwrite: replace a prepared data set.
        masks: answers to what masks cannot say by themselves.
        progress: called with stage, number of images done, and number of all.

    Returns:
        A summary, which `preparation.json` records too.

    Raises:
        DataError: the data cannot be used; ImageError for a single file.
        SettingsError: the settings do not fit the data.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as temporary:
    ...     source, rng = Path(temporary, "photos"), np.random.default_rng(0)
    ...     for name in ("good/0", "good/1", "crack/0"):
    ...         (source / name).parent.mkdir(parents=True, exist_ok=True)
    ...         write_png(source / f"{name}.png", rng.integers(0, 256, (60, 40, 3), np.uint8))
    ...     split = SplitSettings(train_fraction=1)
    ...     prepared = Path(temporary, "prepared")
    ...     summary = prepare("folder", source, prepared, width=20, height=30, split=split)
    ...     print(summary.n_images, [s.image for s in Manifest.load(prepared)])
    3 ['train/positive/crack-0.png', 'train/negative/good-0.png', 'train/negative/good-1.png']
    """
    split = split or SplitSettings()
    source, prepared = source.resolve(), prepared.resolve()
    _check_arguments(source, prepared, width, height)
    if bit_depth is not None:
        check_bit_depth(bit_depth)
    check_replaceable(prepared, MANIFEST_NAME, CONTENT, overwrite)
    found = read_source(layout, source, masks)
    if bit_depth is None:
        bit_depth = find_bit_depth(s.image for s in found.samples)
    scans, skipped = _scan_all(found.samples, source, bit_depth, skip_unreadable, progress)
    fingerprints = [s.fingerprint for s in scans]
    copies, near = find_exact_duplicates(fingerprints), find_near_duplicates(fingerprints)
    copies, copy_notes = settle_copies(scans, copies)
    placed, dropped = place(scans, copies, near, found.has_official_split, split)
    _check_sides(placed, source)
    with staged_folder(prepared, MANIFEST_NAME, CONTENT, overwrite) as folder:
        samples, n_crops = _write_all(placed, folder, width, height, bit_depth, progress)
        summary = PreparationSummary(
            prepared=prepared,
            layout=layout,
            size=f"{width}x{height}" if width else "native",
            split=_describe(split, found.has_official_split),
            counts=count(placed),
            original_width=spread([p.scan.width for p in placed]),
            original_height=spread([p.scan.height for p in placed]),
            defect_area=spread([p.scan.defect_area for p in placed if p.scan.defect_area]),
            defect_share=spread([p.scan.defect_share for p in placed if p.scan.defect_area]),
            n_unknown_masks=sum(not p.scan.mask_is_known for p in placed),
            n_groups=len({p.group for p in placed}),
            n_crops=n_crops,
            dropped_copies=dropped,
            skipped=skipped,
            bit_depth=bit_depth,
            notes=[
                *found.notes,
                *copy_notes,
                *bright_mask_notes(scans),
                *reading_notes(scans, bit_depth),
            ],
            audit=build_report(len(scans), copies, near, {p.scan.name: p.split for p in placed}),
        )
        text = json.dumps(summary.to_json(), indent=2, ensure_ascii=False) + "\n"
        (folder / PREPARATION_NAME).write_text(text, encoding="utf-8")
        Manifest(folder, tuple(samples)).save()
    return summary


def _check_arguments(source: Path, prepared: Path, width: int | None, height: int | None) -> None:
    if (width is None) != (height is None) or any(n is not None and n < 1 for n in (width, height)):
        raise SettingsError("Width and height are two positive numbers, or both left out.")
    if source.is_relative_to(prepared):
        raise DataError(
            f"The prepared data set {prepared} would take the place of its source {source}. "
            "Name another folder."
        )


def _scan_all(
    samples: Sequence[RawSample],
    source: Path,
    bit_depth: int | None,
    skip_unreadable: bool,
    progress: Progress,
) -> tuple[list[Scan], list[str]]:
    scans: list[Scan] = []
    skipped: list[str] = []
    for done, sample in enumerate(samples):
        progress("reading images", done, len(samples))
        try:
            scans.append(scan(sample, _relative(sample.image, source), bit_depth))
        except UnreadableError as error:
            if not skip_unreadable:
                raise UnreadableError(f"{error} Or leave it out with --skip-unreadable.") from None
            skipped.append(_relative(sample.image, source))
    progress("reading images", len(samples), len(samples))
    return scans, skipped


def _check_sides(placed: Sequence[Placed], source: Path) -> None:
    if not any(p.scan.label == "negative" for p in placed):
        raise DataError(f"{source} has no readable normal images, which training needs.")
    if not any(p.scan.label == "negative" and p.split == "train" for p in placed):
        raise DataError(
            f"The training side of {source} has no normal images: check the split, "
            "or use another --train-fraction or --split-seed."
        )


def _write_all(
    placed: Sequence[Placed],
    folder: Path,
    width: int | None,
    height: int | None,
    bit_depth: int | None,
    progress: Progress,
) -> tuple[list[Sample], int]:
    """Write every image; return the samples of the manifest and the number of crops."""
    for side in ("train", "test"):
        for name in ("negative", "positive", "masks", "crops"):
            (folder / side / name).mkdir(parents=True)
    samples, n_crops = [], 0
    for done, one in enumerate(placed):
        progress("writing images", done, len(placed))
        sample, crops = _write_one(one, folder, width, height, bit_depth)
        samples.append(sample)
        n_crops += crops
    progress("writing images", len(placed), len(placed))
    return samples, n_crops


def _write_one(
    placed: Placed, folder: Path, width: int | None, height: int | None, bit_depth: int | None
) -> tuple[Sample, int]:
    raw, side = placed.scan.sample, placed.split
    image, how_read = read(raw.image, bit_depth)
    height, width = height or image.shape[0], width or image.shape[1]
    mask = np.zeros(image.shape[:2], dtype=np.bool_)
    if raw.mask and placed.scan.defect_area:
        mask = read_source_mask(raw.masks, raw.mask_rule).mask
        mask, _ = match_mask(mask, image, how_read.orientation)
    image, mask = resize_image(image, width, height), resize_mask(mask, width, height)

    image_name = f"{side}/{placed.scan.label}/{raw.name}.png"
    mask_name = f"{side}/masks/{raw.name}.png" if placed.scan.mask_is_known else ""
    write_png(folder / image_name, image)
    if mask_name:
        write_png(folder / mask_name, mask)
    boxes = crop_boxes(mask)
    for number, box in enumerate(boxes):
        write_png(folder / side / "crops" / f"{raw.name}-{number}.png", box.cut(image))
    sample = Sample(
        image=image_name,
        mask=mask_name,
        label=placed.scan.label,
        split=side,
        kind=raw.kind,
        group=placed.group,
        source=placed.scan.name,
    )
    return sample, len(boxes)


def _describe(split: SplitSettings, is_official: bool) -> dict[str, Any]:
    """The settings that decided the split, for `preparation.json`."""
    if split.file:
        return {"by": "file", "file": split.file.name}
    if not is_official:
        return {"by": "group", "train_fraction": split.train_fraction, "seed": split.seed}
    if split.train_defects:
        return {"by": "data set", "train_defects": split.train_defects, "seed": split.seed}
    return {"by": "data set"}


def _relative(path: Path, source: Path) -> str:
    return printable(path.relative_to(source).as_posix())
