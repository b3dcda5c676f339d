"""Image files in folders, in natural order."""

import re
from pathlib import Path

from patchcore_dual.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def list_images(folder: Path | str) -> list[Path]:
    """The image files directly in `folder`, by suffix and in natural order, without hidden files.

    Raises:
        DataError: `folder` is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    return sorted((p for p in files if not p.name.startswith(".") and p.is_file()), key=natural_key)


def natural_key(path: Path | str) -> list[tuple[int, int, str]]:
    """A sorting key that compares runs of digits as numbers.

    >>> sorted(["Part10.jpg", "Part2.jpg"], key=natural_key)
    ['Part2.jpg', 'Part10.jpg']
    """
    pieces = re.split(r"([0-9]+)", str(path))
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in pieces]
