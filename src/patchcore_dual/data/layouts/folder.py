"""Plain folders: good/, and defect/ or one folder per kind of defect, with optional masks/."""

from collections import Counter
from pathlib import Path

from patchcore_dual.data.layouts.layout import (
    Layout,
    RawSample,
    Source,
    WrongLayoutError,
    safe_names,
    some,
    subfolders,
)
from patchcore_dual.data.listing import list_images
from patchcore_dual.data.sample import Split
from patchcore_dual.errors import DataError

GOOD = "good"
DEFECT = "defect"
MASKS = "masks"


def _matches(folder: Path) -> bool:
    return (folder / GOOD).is_dir() or (folder / "train" / GOOD).is_dir()


def _read(source: Path) -> Source:
    """The folder decides label and kind.

    The mask of KIND/STEM.jpg is masks/KIND/STEM.png or masks/STEM.png; its stem may end in _mask
    or _GT. A defective image without a mask is kept, its mask unknown. If everything lies in
    train/ and test/ (each with its own masks/), the split is the data set's own.
    """
    folders: dict[Path, Split | None] = {source: None}
    if (source / "train").is_dir() and (source / "test").is_dir():
        _check_nothing_beside(source)
        folders = {source / "train": "train", source / "test": "test"}
    images: list[tuple[Path, Path | None, Split | None]] = []
    notes: list[str] = []
    for folder, split in folders.items():
        found, folder_notes = _pair_with_masks(folder)
        images += [(image, mask, split) for image, mask in found]
        notes += folder_notes
    if not any(image.parent.name == GOOD for image, _, _ in images):
        raise WrongLayoutError
    names = safe_names(image.relative_to(source) for image, _, _ in images)
    samples = [
        _sample(image, mask, split, name)
        for (image, mask, split), name in zip(images, names, strict=True)
    ]
    return Source(samples, has_official_split=len(folders) == 2, notes=notes)


def _check_nothing_beside(source: Path) -> None:
    beside = [f.name for f in subfolders(source) if f.name not in ("train", "test")]
    if beside:
        raise WrongLayoutError(
            f"{source} has {some(beside)} beside train/ and test/. "
            "Put everything, masks too, inside train/ and test/, or nothing."
        )


def _pair_with_masks(folder: Path) -> tuple[list[tuple[Path, Path | None]], list[str]]:
    """The images in the subfolders of `folder`, each with its mask, and notes for the user."""
    images = [p for f in subfolders(folder) if f.name != MASKS for p in list_images(f)]
    masks = {
        path.relative_to(folder / MASKS).with_suffix("").as_posix(): path
        for where in [folder / MASKS, *subfolders(folder / MASKS)]
        if where.is_dir()
        for path in list_images(where)
    }
    defective_stems = Counter(p.stem for p in images if p.parent.name != GOOD)
    pairs = [(image, _find_mask(image, masks, defective_stems)) for image in images]
    used = {mask for _, mask in pairs}
    unused = [path for path in masks.values() if path not in used]
    notes = [f"{len(unused)} masks belong to no image: {some(unused)}."] if unused else []
    return pairs, notes


def _find_mask(image: Path, masks: dict[str, Path], defective_stems: Counter[str]) -> Path | None:
    stems = [image.stem, f"{image.stem}_mask", f"{image.stem}_GT"]
    for stem in stems:
        if own := masks.get(f"{image.parent.name}/{stem}"):
            return own
    shared = next((masks[stem] for stem in stems if stem in masks), None)
    if image.parent.name == GOOD:
        # masks/001.png is that of scratch/001.png, not of good/001.png.
        return shared if not defective_stems[image.stem] else None
    if shared and defective_stems[image.stem] > 1:
        raise DataError(
            f"{shared} could be the mask of several images named {image.stem}. "
            f"Put it into {MASKS}/{image.parent.name}/ or the folder of the kind it belongs to."
        )
    return shared


def _sample(image: Path, mask: Path | None, split: Split | None, name: str) -> RawSample:
    folder = image.parent.name
    return RawSample(
        image=image,
        mask=mask,
        name=name,
        label="negative" if folder == GOOD else "positive",
        split=split,
        kind="" if folder in (GOOD, DEFECT) else folder,
    )


FOLDER = Layout(
    name="folder",
    files="good/ and defect/ or one folder per kind of defect, all optionally in train/ and test/",
    matches=_matches,
    read=_read,
)
