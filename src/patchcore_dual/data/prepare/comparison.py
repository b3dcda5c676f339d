"""What changed in a data set since a folder was prepared from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.alignment import Aligner
from patchcore_dual.data.duplicates import Fingerprint, digest, fingerprint
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.masks import read_prepared_mask
from patchcore_dual.data.prepare.scanning import Scan
from patchcore_dual.data.prepare.writing import Size, render
from patchcore_dual.data.reading import read_image
from patchcore_dual.data.sample import Sample
from patchcore_dual.errors import DataError, together
from patchcore_dual.utils.progress import Progress


@dataclass(frozen=True)
class Change:
    """A row of the manifest that follows its source: its mask, or its name with label and kind.

    Attributes:
        before, after: the row.
        scan: its source.
        has_new_mask: whether the mask file is written anew.
    """

    before: Sample
    after: Sample
    scan: Scan
    has_new_mask: bool

    @property
    def is_moved(self) -> bool:
        """Whether the image was found under another name."""
        return self.before.source != self.after.source

    @property
    def loses_mask(self) -> bool:
        """Whether the former mask is no longer its mask, and there is no new one."""
        return bool(self.before.mask) and not self.after.mask


@dataclass(frozen=True)
class Comparison:
    """A prepared folder beside the data set that it is updated from.

    Attributes:
        rows: the real images of the folder as they will be, by their name in the data set, or by
            that in the folder for images that are not in the data set.
        raw_groups: group of each row by what its layout calls its group.
        changes: rows that change.
        missing: fingerprints of the images that are not in the data set; they stay.
        without_mask: names of images whose masks are no longer in the data set; they stay.
        new: images that the folder does not have.
    """

    rows: dict[str, Sample] = field(default_factory=dict)
    raw_groups: dict[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    missing: list[Fingerprint] = field(default_factory=list)
    without_mask: list[str] = field(default_factory=list)
    new: list[Scan] = field(default_factory=list)


def compare(
    manifest: Manifest,
    scans: Sequence[Scan],
    size: Size | None,
    bit_depth: int | None,
    progress: Progress,
    aligner: Aligner | None = None,
) -> Comparison:
    """Compare a prepared folder with its data set.

    Args:
        manifest: the folder's.
        scans: the readable images of the data set.
        size, bit_depth, aligner: of the folder.

    Raises:
        DataError: images of the data set are not those that were prepared under the same names.
    """
    found = Comparison()
    problems: list[DataError] = []
    by_source = {s.source: s for s in manifest.real() if s.source}
    present = {scan.name for scan in scans}
    moved_from: dict[str, Sample] = {}
    for row in manifest.real():
        if row.source in present:
            continue
        name = row.source or row.image
        try:
            image = read_image(manifest.image_path(row))
            marked = digest(read_prepared_mask(manifest.folder / row.mask)) if row.mask else ""
        except DataError as error:
            problems.append(error)
            continue
        found.rows[name] = row
        summary = fingerprint(name, image, row.label, marked)
        moved_from.setdefault(summary.pixels, row)
        found.missing.append(summary)
    for done, scan in enumerate(scans):
        progress("comparing images", done, len(scans))
        known = by_source.get(scan.name)
        if known is None and not moved_from:
            found.new.append(scan)
            continue
        image, mask, _ = render(scan, size, bit_depth, aligner)
        if known is None:
            known = moved_from.pop(digest(image), None)
            if known is None:
                found.new.append(scan)
                continue
            former = known.source or known.image
            del found.rows[former]
            found.missing[:] = [one for one in found.missing if one.name != former]
        else:
            try:
                if not np.array_equal(read_image(manifest.image_path(known)), image):
                    problems.append(_differs(scan, known, manifest.folder))
                    continue
            except DataError as error:
                problems.append(error)
                continue
        change = _change(manifest, known, scan, mask)
        if known.mask and not scan.mask_is_known and change.after.mask:
            found.without_mask.append(scan.name)
        if change.before != change.after or change.has_new_mask:
            found.changes.append(change)
        found.rows[scan.name] = change.after
        raw = scan.sample.group or scan.sample.name
        if found.raw_groups.setdefault(raw, known.group) != known.group:
            problems.append(_regrouped(scan, known, raw, found.raw_groups[raw]))
    progress("comparing images", len(scans), len(scans))
    if problems:
        raise together(problems)
    return found


def _regrouped(scan: Scan, row: Sample, raw: str, other: str) -> DataError:
    return DataError(
        f"{scan.name} is now of the group {raw!r}, as others of {other!r}, but was prepared in "
        f"{row.group!r}. Groups stay in an update: prepare the folder anew with --overwrite."
    )


def _differs(scan: Scan, row: Sample, folder: Path) -> DataError:
    return DataError(
        f"{scan.name} is not the picture that {folder / row.image} was prepared from under this "
        "name. Give new pictures new names; if it takes the place of the old one, or another "
        "version prepared the folder, prepare it anew with --overwrite."
    )


def _change(manifest: Manifest, row: Sample, scan: Scan, mask: NDArray[np.bool_]) -> Change:
    """The row as its source is now."""
    after, raw = row, scan.sample
    if row.source != scan.name:
        after = replace(row, source=scan.name, label=scan.label, kind=raw.kind)
    elif raw.label is None:  # the mask decides
        after = replace(row, label=scan.label)
    if not scan.mask_is_known:
        # The empty mask of a normal image says nothing of a defective one.
        return Change(
            row, after if after.label == row.label else replace(after, mask=""), scan, False
        )
    if row.mask and np.array_equal(read_prepared_mask(manifest.folder / row.mask), mask):
        return Change(row, after, scan, False)
    name = row.mask or f"{row.split}/masks/{Path(row.image).stem}.png"
    return Change(row, replace(after, mask=name), scan, True)
