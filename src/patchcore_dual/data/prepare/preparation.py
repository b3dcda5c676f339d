"""Making a published data set into a folder that `fit` reads (thesis 3.2).

The images get one size, masks that keep every defect, crops around their defects, a split, and a
manifest that describes them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.audit import build_report
from patchcore_dual.data.bit_depth import check_bit_depth
from patchcore_dual.data.layouts.recognise import read_source
from patchcore_dual.data.manifest import MANIFEST_NAME, PREPARATION_NAME, Manifest
from patchcore_dual.data.mask_rule import ASK, MaskRule
from patchcore_dual.data.near_duplicates import find_likeness
from patchcore_dual.data.prepare.additions import check_nothing_lost
from patchcore_dual.data.prepare.aligning import AlignmentRule, measure, store
from patchcore_dual.data.prepare.gathering import gather, source_name
from patchcore_dual.data.prepare.groups import GroupRule, rule_with_split, with_groups
from patchcore_dual.data.prepare.placement import Placed, SplitSettings, place, settle_copies
from patchcore_dual.data.prepare.sizes import (
    Original,
    check_size,
    kept_size,
    propose_size,
    size_notes,
)
from patchcore_dual.data.prepare.summary import PreparationSummary, count, spread
from patchcore_dual.data.prepare.writing import Size, write_all
from patchcore_dual.data.reading import write_png
from patchcore_dual.data.resizing import MAX_DISTORTION, distortion
from patchcore_dual.data.roi import ROI_NAME, region_for, resize_region
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.utils.progress import Progress, silent
from patchcore_dual.utils.staging import check_replaceable, staged_folder

CONTENT = "prepared data set"
REMEDY = "Add new images to it with --update, name another folder, or replace it with --overwrite."


def prepare(
    layout: str,
    source: Path,
    prepared: Path,
    *,
    width: int | None = None,
    height: int | None = None,
    choose_size: bool = False,
    split: SplitSettings | None = None,
    groups: GroupRule | None = None,
    bit_depth: int | None = None,
    skip_unreadable: bool = False,
    overwrite: bool = False,
    delete_additions: bool = False,
    masks: MaskRule = ASK,
    align: AlignmentRule | None = None,
    roi: NDArray[np.bool_] | None = None,
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
        choose_size: keep what the photographs have (`kept_size`), so that `fit` chooses the size
            that it works at; `width` and `height` are None.
        split: how train and test are decided.
        groups: which images belong together; None leaves that to the layout.
        bit_depth: how many bits of 16-bit files are used; None finds it from their values.
        skip_unreadable: leave unreadable files out and list them, instead of raising.
        overwrite: replace a prepared data set.
        delete_additions: also if synthetic sets, reviews or other files were added to it.
        masks: answers to what masks cannot say by themselves.
        align: how parts are aligned; None for not at all. Images that cannot be aligned are left
            out and listed in the summary's `skipped`.
        roi: the region of interest, bool `[H, W]`, True where images are inspected, of the size or
            proportions of the photographs, or of the prepared images; see `data.roi.read_roi`.
        progress: called with stage, number of images done, and number of all.

    Returns:
        A summary, which `preparation.json` records too.

    Raises:
        DataError: the data cannot be used; one error for all files that something is wrong with.
            AdditionsError: overwriting would delete what was added to the folder.
        SettingsError: the settings do not fit the data.

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from patchcore_dual.data.reading import write_png
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
    check_paths(source, prepared)
    check_size(width, height)
    if choose_size and width is not None:
        raise SettingsError("A size was given, and is to be chosen as well.")
    if bit_depth is not None:
        check_bit_depth(bit_depth)
    check_replaceable(prepared, MANIFEST_NAME, CONTENT, overwrite, REMEDY)
    rule = rule_with_split(groups or GroupRule(), split.file)
    found = with_groups(read_source(layout, source, masks), source, layout, rule)
    names = [source_name(sample, source) for sample in found.samples]
    if not delete_additions:
        check_nothing_lost(prepared, names)
    gathered = gather(found, source, bit_depth, skip_unreadable, progress)
    scans, bit_depth = gathered.scans, gathered.bit_depth
    likeness = find_likeness([s.fingerprint for s in scans], progress)
    copies, copy_notes = settle_copies(scans, gathered.copies)
    placed, dropped = place(scans, copies, likeness.near, found.has_official_split, split)
    _check_sides(placed, source)
    originals = [p.scan.original for p in placed]
    size, notes_on_size = _size(originals, width, height, choose_size)
    about = size or (originals[0].width, originals[0].height)
    if choose_size:
        proposed = propose_size(originals)
        about = proposed.width, proposed.height
    aligner, moves = measure(placed, about, bit_depth, align or AlignmentRule(), progress)
    region = None if roi is None else _region(roi, size, originals)
    with staged_folder(prepared, MANIFEST_NAME, CONTENT, overwrite, REMEDY) as folder:
        samples, n_crops, not_aligned = write_all(
            placed, folder, size, bit_depth, progress, aligner
        )
        check_aligned(placed, not_aligned)
        summary = PreparationSummary(
            prepared=prepared,
            layout=layout,
            size=f"{size[0]}x{size[1]}" if size else "native",
            size_by="photographs" if choose_size else "user",
            split=describe_split(split, found.has_official_split),
            groups=rule.describe(),
            counts=count(samples),
            original_width=spread([p.scan.width for p in placed]),
            original_height=spread([p.scan.height for p in placed]),
            defect_area=spread([p.scan.defect_area for p in placed if p.scan.defect_area]),
            defect_share=spread([p.scan.defect_share for p in placed if p.scan.defect_area]),
            n_unknown_masks=sum(not s.mask_is_known for s in samples),
            n_groups=len({s.group for s in samples}),
            n_crops=n_crops,
            dropped_copies=dropped,
            skipped={**gathered.skipped, **not_aligned},
            bit_depth=bit_depth,
            notes=[*found.notes, *copy_notes, *gathered.notes, *notes_on_size],
            audit=build_report(
                len(scans), copies, likeness, {p.scan.name: p.split for p in placed}
            ),
            alignment=store(aligner, folder) if aligner else None,
            moves=moves.to_json() if moves else None,
            motion_line=str(moves or ""),
            roi=None if region is None else ROI_NAME,
        )
        if region is not None:
            write_png(folder / ROI_NAME, region)
        (folder / PREPARATION_NAME).write_text(to_text(summary), encoding="utf-8")
        Manifest(folder, tuple(samples)).save()
        if not delete_additions:
            check_nothing_lost(prepared, names)  # `augment` may have run meanwhile
    return summary


def check_paths(source: Path, prepared: Path) -> None:
    """Raise DataError if the prepared folder is its source or contains it; both resolved."""
    if source.is_relative_to(prepared):
        raise DataError(
            f"The prepared data set {prepared} would take the place of its source {source}. "
            "Name another folder."
        )


def check_aligned(placed: Sequence[Placed], not_aligned: Mapping[str, str]) -> None:
    """Raise DataError where more images cannot be aligned than can, or no normal training image."""
    kept = [p for p in placed if p.scan.name not in not_aligned]
    has_normals = any(p.scan.label == "negative" and p.split == "train" for p in kept)
    if not_aligned and (2 * len(kept) < len(placed) or not has_normals):
        name, reason = next(iter(not_aligned.items()))
        raise DataError(
            f"{len(not_aligned)} of {len(placed)} images cannot be aligned, as {name}: {reason}. "
            "Allow more with --max-shift and --max-turn, name another image with --align-to, or "
            "leave --align out."
        )


def to_text(summary: PreparationSummary) -> str:
    """The contents of `preparation.json`."""
    return json.dumps(summary.to_json(), indent=2, ensure_ascii=False) + "\n"


def _size(
    originals: Sequence[Original], width: int | None, height: int | None, choose_size: bool
) -> tuple[Size | None, list[str]]:
    """The size of every image, None for their own, and what to say of it."""
    notes = []
    if choose_size:
        kept = kept_size(originals)
        width, height = kept.width, kept.height
        notes.append(kept.reason)
    notes += size_notes(originals, width, height)
    return (width, height) if width and height else None, notes


def _region(
    roi: NDArray[np.bool_], size: Size | None, originals: Sequence[Original]
) -> NDArray[np.bool_]:
    """The region of interest at the size of the images, as far as they have one.

    Raises:
        DataError: the region has other proportions than some photograph, and than the size.
    """
    photographs = sorted({(one.width, one.height) for one in originals})
    if size is not None and distortion((roi.shape[1], roi.shape[0]), size) <= MAX_DISTORTION:
        return resize_region(roi, *size)
    for width, height in photographs:
        resize_region(roi, width, height, what="an image is")
    return roi if size is None else region_for(roi, [size, photographs[0]])


def _check_sides(placed: Sequence[Placed], source: Path) -> None:
    if not any(p.scan.label == "negative" for p in placed):
        raise DataError(f"{source} has no readable normal images, which training needs.")
    if not any(p.scan.label == "negative" and p.split == "train" for p in placed):
        raise DataError(
            f"The training side of {source} has no normal images: check the split, "
            "or use another --train-fraction or --split-seed."
        )


def describe_split(split: SplitSettings, is_official: bool) -> dict[str, Any]:
    """The settings that decided the split, for `preparation.json`."""
    if split.file:
        return {"by": "file", "file": split.file.name}
    if not is_official:
        return {"by": "group", "train_fraction": split.train_fraction, "seed": split.seed}
    if split.train_defects:
        return {"by": "data set", "train_defects": split.train_defects, "seed": split.seed}
    return {"by": "data set"}
