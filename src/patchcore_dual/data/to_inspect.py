"""Which images of the files and folders that are named are inspected, and what is left out."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from patchcore_dual.data.listing import OUTPUT_MARKER, find_images, natural_key, printable
from patchcore_dual.data.mask_names import name_key, stems_of_image
from patchcore_dual.errors import DataError

_MADE_BY_PREPARE = frozenset({"masks", "crops", "synthetic"})


def images_to_inspect(named: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The image files named, and those in and below the folders named, each once.

    Of a folder, pictures of an earlier inspection, masks of other images and whatever else
    `find_images` passes over are not inspected.

    Returns:
        The images, and a line for each sort of thing in the folders that was left out.

    Raises:
        DataError: a file or folder does not exist, a folder holds no images, or a file that was
            named is a picture of an earlier inspection.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("a.png", "b.png", "b_mask.png"):
    ...         Path(folder, name).touch()
    ...     images, left_out = images_to_inspect([Path(folder)])
    >>> [image.name for image in images], left_out[0][:34]
    (['a.png', 'b.png'], 'left out, masks of other images: 1')
    """
    images: dict[str, Path] = {}
    left_out: list[str] = []
    for path in named:
        if path.is_dir():
            inside, lines = _images_below(path)
            left_out += lines
            if not inside:
                reasons = "".join(f" {line[:1].upper()}{line[1:]}." for line in lines)
                raise DataError(f"{printable(path)} holds no images to inspect.{reasons}")
        elif path.exists():
            refuse_a_picture(path)
            inside = [path]
        else:
            raise DataError(f"there is no file or folder {printable(path)}.")
        for image in inside:
            images.setdefault(os.path.abspath(image), image)
    return list(images.values()), left_out


def is_inspection(folder: Path) -> bool:
    """Whether a folder holds pictures that `inspect` made."""
    return (folder / OUTPUT_MARKER).is_file()


def refuse_a_picture(path: Path) -> None:
    """Raise DataError for a file in a folder of pictures that `inspect` made."""
    if is_inspection(path.absolute().parent):
        raise DataError(
            f"{printable(path)} lies among the pictures of an earlier inspection, which are not "
            "inspected. If it is a photograph, move it elsewhere."
        )


def _images_below(top: Path) -> tuple[list[Path], list[str]]:
    if is_inspection(top):
        return [], [f"left out, pictures of an earlier inspection: {printable(top)}"]
    found = find_images(top)
    masks = _masks_of(found.images, found.masks)
    images = [*found.images, *(path for path in found.masks if path not in masks)]
    made = {path for path in [*images, *masks] if is_made_by_prepare(path, top)}
    by_reason: dict[str, list[Path]] = {}
    for path, reason in found.left_out:
        by_reason.setdefault(reason, []).append(path)
    lines = [f"left out, {reason}: {_some(paths, top)}" for reason, paths in by_reason.items()]
    if made:
        lines.append(f"left out, made by prepare and augment: {_some(made, top)}")
    if masks - made:
        lines.append(f"left out, masks of other images: {_some(masks - made, top)}")
    return sorted((path for path in images if path not in made), key=natural_key), lines


def _masks_of(images: list[Path], masks: list[Path]) -> set[Path]:
    """The masks in whose folder at least one belongs to an image.

    Photographs of labels, in a folder called "labels", are thus inspected.
    """
    stems = {name_key(path.stem) for path in images}
    folders = {path.parent for path in masks if not stems.isdisjoint(stems_of_image(path.stem))}
    return {path for path in masks if path.parent in folders}


def is_made_by_prepare(path: Path, top: Path) -> bool:
    """Whether a prepared folder holds a file as a mask, a crop or a synthetic image."""
    below = path.relative_to(top).parts[:-1]
    if _MADE_BY_PREPARE.isdisjoint(below):
        return False
    folders = [
        top.absolute().parent,
        top,
        *(top.joinpath(*below[:i]) for i in range(1, len(below))),
    ]
    return any((folder / "manifest.csv").is_file() for folder in folders)


def _some(paths: Iterable[Path], top: Path, shown: int = 3) -> str:
    """The number of paths and the first few, relative to `top`."""
    paths = sorted(paths, key=natural_key)
    names = [printable(p.relative_to(top)) if p != top else "." for p in paths[:shown]]
    more = f" and {len(paths) - shown} more" if len(paths) > shown else ""
    return f"{len(paths)} in {printable(top)} ({', '.join(names)}{more})"
