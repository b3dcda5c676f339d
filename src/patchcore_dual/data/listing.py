"""Image files in folders, in natural order."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from patchcore_dual.data.mask_names import is_mask_folder, name_key, without_mask_word
from patchcore_dual.errors import DataError

# fmt: off
IMAGE_SUFFIXES = frozenset([
        ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".bmp", ".dib", ".tif",
        ".tiff", ".webp", ".gif", ".avif", ".pgm", ".ppm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k",
        ".jpx", ".jpf", ".j2c", ".jpc", ".tga", ".pcx",
])
# fmt: on
# Pictures, or what may hold pictures, that are named where they are left out.
# fmt: off
_OTHER_SUFFIXES = frozenset([
        ".heic", ".heif", ".hif", ".jxl", ".jxr", ".wdp", ".svg", ".psd", ".psb", ".xcf", ".ai",
        ".eps", ".pdf", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf",
        ".pef", ".srw", ".exr", ".hdr", ".fits", ".fit", ".dcm", ".npy", ".npz", ".mat", ".ico",
        ".emf", ".wmf", ".dds", ".qoi", ".sgi", ".xpm", ".xbm", ".mp4", ".avi", ".mov", ".mkv",
        ".wmv", ".zip", ".7z", ".rar", ".tar", ".tgz",
])
# fmt: on
_SIGNATURES = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
    b"\0\0\0\x0cjP",
)
# Folders of programs: bins, snapshots and thumbnails. Hidden folders are never entered either.
_PROGRAM_FOLDERS = frozenset(
    {
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@tmp",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "lost+found",
        "__macosx",
        "__pycache__",
    }
)
OUTPUT_MARKER = "patchcore-dual-inspection.json"
"""A file of this name marks a folder of pictures that `inspect` wrote."""


class LeftOut(NamedTuple):
    """A file or folder that may hold pictures but is not read, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{printable(self.path)} ({self.reason})"


class Listing(NamedTuple):
    """The images below a folder in natural order, the masks among them, and what was left out.

    Attributes:
        images: the image files that are not masks.
        masks: image files in a folder for masks, or named as the mask of an image beside them.
        left_out: what is in no list though it may hold pictures.
    """

    images: list[Path]
    masks: list[Path]
    left_out: list[LeftOut]


def find_images(folder: Path | str) -> Listing:
    """The image files in and below `folder`.

    Links to folders are followed, each folder is read once. Hidden folders and files, and those
    that file managers and servers make (thumbnails, bins), are passed over. Folders that may not
    be read, broken links, pictures in formats that are not read, and pictures that `inspect` wrote
    are named in `left_out`. Masks, by name or by the name of their folder below `folder`, are
    listed for themselves.

    Raises:
        DataError: `folder` is not a folder, or may not be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as parts:
    ...     for name in ("good/monday/1.jfif", "crack/1.png", "masks/crack/1.png", "crack/2.heic"):
    ...         Path(parts, name).parent.mkdir(parents=True, exist_ok=True)
    ...         Path(parts, name).touch()
    ...     found = find_images(parts)
    ...     [p.relative_to(parts).as_posix() for p in found.images], len(found.masks)
    ...     [(one.path.name, one.reason) for one in found.left_out]
    (['crack/1.png', 'good/monday/1.jfif'], 1)
    [('2.heic', '.heic is not read: convert it to PNG')]
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{printable(folder)} is not a folder.")
    try:
        next(os.scandir(folder), None)
    except OSError as error:
        raise DataError(f"{printable(folder)} cannot be read: {error.strerror}.") from None
    walk = _Walk()
    walk.enter(folder, in_masks=False)
    # Links come last, so that a folder is read at its own place where it has one.
    while walk.linked:
        walk.enter(*walk.linked.pop(0))
    for folder_files in walk.files.values():
        _set_masks_apart(folder_files, walk.masks)
    images = [path for files in walk.files.values() for path in files]
    return Listing(
        sorted(images, key=natural_key),
        sorted(walk.masks, key=natural_key),
        sorted(walk.left_out, key=lambda one: natural_key(one.path)),
    )


def list_images(folder: Path | str) -> list[Path]:
    """The image files directly in `folder`, by suffix and in natural order, without hidden files.

    Raises:
        DataError: `folder` is not a folder, or may not be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{printable(folder)} is not a folder.")
    try:
        files = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise DataError(f"{printable(folder)} cannot be read: {error.strerror}.") from None
    return sorted((p for p in files if not p.name.startswith(".") and p.is_file()), key=natural_key)


def is_passed_over(name: str) -> bool:
    """Whether a folder or file of this name is hidden, or made by a file manager or a server.

    >>> [is_passed_over(n) for n in (".ipynb_checkpoints", ".Trash-1000", "@eaDir", "monday")]
    [True, True, True, False]
    """
    return name.startswith(".") or name_key(name) in _PROGRAM_FOLDERS


def natural_key(path: Path | str) -> list[tuple[int, int, str]]:
    """A sorting key that compares runs of digits as numbers.

    >>> sorted(["Part10.jpg", "Part2.jpg"], key=natural_key)
    ['Part2.jpg', 'Part10.jpg']
    """
    pieces = re.split(r"([0-9]+)", str(path))
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in pieces]


def printable(path: Path | str) -> str:
    r"""A path as text that can be printed and stored: bytes that are not UTF-8 become \xNN.

    >>> printable("caf\udce9.png")
    'caf\\xe9.png'
    """
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def why_left_out(path: Path) -> str | None:
    """Why a file that may be a picture is not read; "" for an image file, None for anything else.

    >>> [why_left_out(Path(name)) for name in ("no/such.png", "part.heic", "notes.txt")]
    ['not a file', '.heic is not read: convert it to PNG', None]
    """
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES or (not suffix and _is_picture(path)):
        if os.path.isfile(path):
            return ""
        return "a broken link" if path.is_symlink() else "not a file"
    if suffix in _OTHER_SUFFIXES:
        return f"{suffix} is not read: convert it to PNG"
    if _is_picture(path):
        return f"a picture whose suffix {suffix} is unknown"
    if path.is_symlink() and not os.path.exists(path):
        return "a broken link"
    return None


class _Walk:
    """The files met on a walk through folders."""

    def __init__(self) -> None:
        self.files: dict[Path, list[Path]] = {}  # the images by folder
        self.masks: list[Path] = []
        self.left_out: list[LeftOut] = []
        self.linked: list[tuple[Path, bool]] = []  # yet to be entered, and whether they hold masks
        self._seen: set[str] = set()

    def enter(self, folder: Path, in_masks: bool) -> None:
        """List a folder and those below, but not the linked ones, which `linked` gathers."""
        real = os.path.realpath(folder)
        if real in self._seen:
            self.left_out.append(LeftOut(folder, "a link to a folder that is read already"))
            return
        self._seen.add(real)
        try:
            names = os.listdir(folder)
        except OSError as error:
            self.left_out.append(LeftOut(folder, f"cannot be read: {error.strerror}"))
            return
        for path in sorted((folder / name for name in names), key=natural_key):
            if is_passed_over(path.name):
                continue
            if os.path.isdir(path):
                self._enter_below(path, in_masks or is_mask_folder(path.name))
            else:
                self._add(path, in_masks)

    def _enter_below(self, path: Path, in_masks: bool) -> None:
        if os.path.exists(path / OUTPUT_MARKER):
            self.left_out.append(LeftOut(path, "pictures that inspect wrote"))
        elif path.is_symlink():
            self.linked.append((path, in_masks))
        else:
            self.enter(path, in_masks)

    def _add(self, path: Path, in_masks: bool) -> None:
        reason = why_left_out(path)
        if reason:
            self.left_out.append(LeftOut(path, reason))
        elif reason is not None and in_masks:
            self.masks.append(path)
        elif reason is not None:
            self.files.setdefault(path.parent, []).append(path)


def _set_masks_apart(files: list[Path], masks: list[Path]) -> None:
    """Move the files named as the mask of an image in the same folder from `files` to `masks`."""
    stems = {name_key(path.stem) for path in files}
    found = [path for path in files if without_mask_word(path.stem) in stems]
    masks += found
    files[:] = _without(files, found)


def _without(files: Iterable[Path], removed: Iterable[Path]) -> list[Path]:
    unwanted = set(removed)
    return [path for path in files if path not in unwanted]


def _is_picture(path: Path) -> bool:
    """Whether a file begins as PNG, JPEG, GIF, BMP, TIFF, WebP or JPEG 2000 files do."""
    try:
        if not os.path.isfile(path):
            return False
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    if start[:4] == b"RIFF":
        return start[8:12] == b"WEBP"
    return len(start) == 12 and start.startswith(_SIGNATURES)
