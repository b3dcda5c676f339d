"""KSDD2: train/ and test/, each image NNNNN.png with its mask NNNNN_GT.png (thesis 3.1)."""

import re
from pathlib import Path

from patchcore_dual.data.layouts.recognise import wrong_layout
from patchcore_dual.data.layouts.source import RawSample, Source, safe_names, some
from patchcore_dual.data.manifest import Split
from patchcore_dual.data.reading import list_images
from patchcore_dual.errors import DataError

EXPECTED = "folders train/ and test/ holding NNNNN.png and NNNNN_GT.png"
SPLITS: tuple[Split, ...] = ("train", "test")

# "10301 (copy)", "10301_GT (copy)", "10301 (copy 2)", "10301 (1)", "10301 - Copy": what file
# managers make of a name.
_COPY = re.compile(r"^(?P<name>.+?)(?: \((?:copy ?)?[0-9]*\)| - copy(?: \([0-9]+\))?)$", re.I)


def read_ksdd2(source: Path) -> Source:
    """Read KSDD2. The mask decides each label; the split is the data set's own.

    Stray "(copy)" files are left out, with a note, where their originals are there.
    """
    if not all((source / split).is_dir() for split in SPLITS):
        raise wrong_layout(source, "ksdd2", EXPECTED)
    found: list[tuple[Split, Path, Path]] = []
    notes: list[str] = []
    for split in SPLITS:
        originals, part_notes = _without_stray_copies(list_images(source / split), source)
        notes += part_notes
        masks = {stem: path for stem, path in originals.items() if stem.endswith("_GT")}
        images = {stem: path for stem, path in originals.items() if stem not in masks}
        if not images or not masks:
            raise wrong_layout(source, "ksdd2", EXPECTED)
        if lonely := [path for stem, path in images.items() if f"{stem}_GT" not in masks]:
            raise DataError(
                f"{lonely[0]} has no mask: expected {lonely[0].stem}_GT.png beside it "
                f"({len(lonely)} such images in {split}/)."
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
    """The files by stem, a copy under its original's stem only where that is missing."""
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
