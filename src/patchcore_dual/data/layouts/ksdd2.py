"""KSDD2: train/ and test/, each image NNNNN.png with its mask NNNNN_GT.png (thesis 3.1)."""

import re
from pathlib import Path

from patchcore_dual.data.layouts.layout import (
    Layout,
    RawSample,
    Source,
    WrongLayoutError,
    contains,
    safe_names,
    some,
)
from patchcore_dual.data.listing import list_images
from patchcore_dual.data.sample import Split
from patchcore_dual.errors import DataError

SPLITS: tuple[Split, ...] = ("train", "test")

# How file managers name copies: "10301 (copy)", "10301_GT (copy)", "10301 (copy 2)", "10301 (1)",
# "10301 - Copy".
_COPY = re.compile(r"^(?P<name>.+?)(?: \((?:copy ?)?[0-9]*\)| - copy(?: \([0-9]+\))?)$", re.I)


def _matches(folder: Path) -> bool:
    return contains(folder, "train/*_GT*.png") or contains(folder, "test/*_GT*.png")


def _read(source: Path) -> Source:
    """The mask decides each label; the split is the data set's own.

    Stray "(copy)" files whose originals exist are left out, with a note.
    """
    if not all((source / split).is_dir() for split in SPLITS):
        raise WrongLayoutError
    found: list[tuple[Split, Path, Path]] = []
    notes: list[str] = []
    for split in SPLITS:
        originals, split_notes = _without_stray_copies(list_images(source / split), source)
        notes += split_notes
        masks = {stem: path for stem, path in originals.items() if stem.endswith("_GT")}
        images = {stem: path for stem, path in originals.items() if stem not in masks}
        if not images or not masks:
            raise WrongLayoutError
        if unmasked := [path for stem, path in images.items() if f"{stem}_GT" not in masks]:
            raise DataError(
                f"{unmasked[0]} has no mask: expected {unmasked[0].stem}_GT.png beside it "
                f"({len(unmasked)} such images in {split}/)."
            )
        if orphans := [path for stem, path in masks.items() if stem[:-3] not in images]:
            notes.append(f"{len(orphans)} masks belong to no image: {some(orphans)}.")
        found += [(split, path, masks[f"{stem}_GT"]) for stem, path in images.items()]
    names = safe_names(image.relative_to(source) for _, image, _ in found)
    samples = [
        RawSample(image=image, mask=mask, name=name, split=split)
        for (split, image, mask), name in zip(found, names, strict=True)
    ]
    return Source(samples, has_official_split=True, notes=notes)


def _without_stray_copies(files: list[Path], source: Path) -> tuple[dict[str, Path], list[str]]:
    """The files by stem, and notes; a copy takes its original's stem where that is missing."""
    by_stem = {path.stem: path for path in files if not _COPY.match(path.stem)}
    left_out = []
    for path in files:
        if match := _COPY.match(path.stem):
            if match["name"] in by_stem:
                left_out.append(path.relative_to(source).as_posix())
            else:
                by_stem[match["name"]] = path
    notes = [f"{len(left_out)} stray copies left out: {some(left_out, 20)}."] if left_out else []
    return by_stem, notes


KSDD2 = Layout(
    name="ksdd2",
    files="folders train/ and test/ holding NNNNN.png and NNNNN_GT.png",
    matches=_matches,
    read=_read,
)
