"""Which images of the files and folders that are named are inspected, and what is left out."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from patchcore_dual.data.listing import IMAGE_SUFFIXES, natural_key
from patchcore_dual.errors import DataError

INSPECTION_FILE = "inspection.json"
"""A folder with this file holds pictures that `inspect` made: no photographs."""

_MASK_FOLDERS = frozenset(
    {"mask", "masks", "gt", "ground_truth", "groundtruth", "label", "labels", "annotations"}
)
_MASK_NAME = re.compile(r"[-_. ](mask|masks|gt|label|labels|ground_?truth|annotation)$", re.I)
_BY_PROGRAMS = frozenset({"@eadir", "#recycle", "$recycle.bin", "__macosx", "lost+found"})
_FILES_BY_PROGRAMS = frozenset({"thumbs.db", "desktop.ini", INSPECTION_FILE})
_OF_A_PREPARED_FOLDER = frozenset({"masks", "crops", "synthetic"})


def images_to_inspect(named: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The image files named, and those in and below the folders named, each once.

    Not inspected are hidden folders and those that programs make (thumbnails, waste bins), pictures
    of an earlier inspection, masks, and folders that are links or may not be read.

    Returns:
        The images, and a line for each sort of thing in the folders that was left out.

    Raises:
        DataError: a file or folder does not exist, a folder holds no images, or a file that was
            named is a picture of an earlier inspection.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("a.png", "b.png", "notes.txt"):
    ...         Path(folder, name).touch()
    ...     images, left_out = images_to_inspect([Path(folder)])
    >>> [image.name for image in images], left_out[0][:39]
    (['a.png', 'b.png'], 'left out, no images by their names: 1 .')
    """
    images: dict[str, Path] = {}
    left_out: list[str] = []
    for path in named:
        if path.is_dir():
            inside, lines = _images_below(path)
            left_out += lines
            if not inside:
                reasons = "".join(f" {line[:1].upper()}{line[1:]}." for line in lines)
                raise DataError(f"{path} holds no images to inspect.{reasons}")
        elif path.exists():
            _refuse_a_picture(path)
            inside = [path]
        else:
            raise DataError(f"there is no file or folder {path}.")
        for image in inside:
            images.setdefault(os.path.abspath(image), image)
    return list(images.values()), left_out


def is_inspection(folder: Path) -> bool:
    """Whether a folder holds pictures that `inspect` made."""
    return (folder / INSPECTION_FILE).is_file()


def _refuse_a_picture(path: Path) -> None:
    if is_inspection(path.absolute().parent):
        raise DataError(
            f"{path} lies among the pictures of an earlier inspection, which are not inspected. "
            "If it is a photograph, move it elsewhere."
        )


def _images_below(top: Path) -> tuple[list[Path], list[str]]:
    if is_inspection(top):
        return [], [f"left out, pictures of an earlier inspection: {top}"]
    images: list[Path] = []
    other_suffixes: Counter[str] = Counter()
    skipped: dict[str, list[Path]] = {}

    def skip(why: str, path: Path) -> None:
        skipped.setdefault(why, []).append(path)

    def cannot_read(error: OSError) -> None:
        skip("may not be read", Path(error.filename))

    for place, folders, files in os.walk(top, onerror=cannot_read):
        folder, is_prepared = Path(place), "manifest.csv" in files
        is_prepared |= (folder.parent / "manifest.csv").is_file() and folder != top
        for name in list(folders):
            below, why = folder / name, ""
            if name.startswith(".") or name.lower() in _BY_PROGRAMS:
                why = "hidden, or made by other programs"
            elif below.is_symlink():
                why = "folders that are links (name them to have them inspected)"
            elif is_inspection(below):
                why = "pictures of an earlier inspection"
            elif is_prepared and name in _OF_A_PREPARED_FOLDER:
                why = "masks, crops and synthetic images of a prepared data set"
            if why:
                skip(why, below)
                folders.remove(name)
        for name in files:
            path = folder / name
            if name.startswith(".") or name.lower() in _FILES_BY_PROGRAMS:
                continue
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                other_suffixes[path.suffix.lower() or "without suffix"] += 1
            elif path.is_symlink() and not path.exists():
                skip("links to files that do not exist", path)
            else:
                images.append(path)
    masks = _masks_among(images, top)
    for mask in masks:
        skip("masks of the other images", mask)
    lines = [f"left out, {why}: {_some(paths, top)}" for why, paths in skipped.items()]
    if other_suffixes:
        counts = ", ".join(f"{n} {suffix}" for suffix, n in other_suffixes.most_common())
        lines.append(f"left out, no images by their names: {counts} in {top}")
    return sorted((p for p in images if p not in masks), key=natural_key), lines


def _masks_among(images: list[Path], top: Path) -> set[Path]:
    """Files in mask folders, or named as masks, that belong to another of the images."""
    in_mask_folder = {
        p
        for p in images
        if {part.lower() for part in p.relative_to(top).parts[:-1]} & _MASK_FOLDERS
    }
    stems = {p.stem.casefold() for p in images if p not in in_mask_folder}
    beside = {(p.parent, p.stem.casefold()) for p in images}
    masks = set()
    for path in images:
        bare = _MASK_NAME.sub("", path.stem)
        if path in in_mask_folder:
            if {path.stem.casefold(), bare.casefold()} & stems:
                masks.add(path)
        elif bare != path.stem and (path.parent, bare.casefold()) in beside:
            masks.add(path)
    return masks


def _some(paths: list[Path], top: Path, shown: int = 3) -> str:
    """The number of paths and the first few, relative to `top`."""
    paths = sorted(paths, key=natural_key)
    names = [str(p.relative_to(top)) if p != top else str(top) for p in paths[:shown]]
    more = f" and {len(paths) - shown} more" if len(paths) > shown else ""
    return f"{len(paths)} in {top} ({', '.join(names)}{more})"
