"""`ImageStream`: the images in files and folders one after the other, never listed as a whole."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path, PurePath

from patchcore_dual.data.listing import (
    IMAGE_SUFFIXES,
    OUTPUT_MARKER,
    is_passed_over,
    printable,
    why_left_out,
)
from patchcore_dual.data.mask_names import is_mask_folder, name_key, without_mask_word
from patchcore_dual.data.to_inspect import is_inspection, is_made_by_prepare, refuse_a_picture
from patchcore_dual.errors import DataError

_REASONS_COUNTED = 50


class ImageStream:
    """The image files named, and those in and below the folders named, in constant memory.

    It differs from `images_to_inspect`, which sees all paths at once: images come in the order in
    which the file system gives them, an image that is named twice comes twice, and whatever lies
    in a folder of masks by its name is left out.

    Args:
        named: files and folders.

    Raises:
        DataError: a file or folder does not exist, a folder holds no images, or a file that was
            named is a picture of an earlier inspection.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("a.png", "b.png", "b_mask.png", "masks/a.png"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     stream = ImageStream([Path(folder)])
    ...     sorted(path.name for path in stream)
    ['a.png', 'b.png']
    >>> sorted(line.partition(" (as ")[0] for line in stream.left_out())
    ['left out, a folder of masks: 1', 'left out, the mask of an image: 1']
    """

    def __init__(self, named: Sequence[Path]) -> None:
        self.named = named
        for path in named:
            self._forget()
            if path.is_dir():
                images = self._below(path)
                if next(images, None) is None:
                    reasons = "".join(f" {line[:1].upper()}{line[1:]}." for line in self.left_out())
                    raise DataError(f"{printable(path)} holds no images to inspect.{reasons}")
                images.close()
            elif path.exists():
                refuse_a_picture(path)
            else:
                raise DataError(f"there is no file or folder {printable(path)}.")
        self._forget()

    def __iter__(self) -> Iterator[Path]:
        """The paths, from the first again with each call."""
        self._forget()
        for path in self.named:
            if path.is_dir():
                yield from self._below(path)
            else:
                yield path

    def left_out(self) -> list[str]:
        """A line for each sort of thing in the folders that was left out so far."""
        return [
            f"left out, {reason}: {count} (as {printable(example)})"
            for reason, (count, example) in self._left_out.items()
        ]

    def _forget(self) -> None:
        self._left_out: dict[str, tuple[int, Path]] = {}
        self._roots: list[Path] = []  # real paths: of a folder named, and of links followed

    def _leave_out(self, path: Path, reason: str) -> None:
        if reason not in self._left_out and len(self._left_out) >= _REASONS_COUNTED:
            reason = "for other reasons"
        count, example = self._left_out.get(reason, (0, path))
        self._left_out[reason] = count + 1, example

    def _below(self, top: Path) -> Generator[Path, None, None]:
        if is_inspection(top):
            self._leave_out(top, "pictures of an earlier inspection")
            return
        self._roots = [Path(os.path.realpath(top))]
        yield from self._inside(top, top)

    def _inside(self, folder: Path, top: Path) -> Iterator[Path]:
        """The images in a folder and below; a folder is read while its images are given."""
        try:
            entries = os.scandir(folder)
        except OSError as error:
            self._leave_out(folder, f"cannot be read: {error.strerror}")
            return
        with entries:
            for entry in entries:
                path = folder / entry.name
                if is_passed_over(entry.name):
                    continue
                if os.path.isdir(path):
                    if self._is_entered(path, top):
                        yield from self._inside(path, top)
                elif reason := why_left_out(path):
                    self._leave_out(path, reason)
                elif reason is not None and _is_mask_of_image_beside(path):
                    self._leave_out(path, "the mask of an image")
                elif reason is not None:
                    yield path

    def _is_entered(self, folder: Path, top: Path) -> bool:
        reason = ""
        if os.path.exists(folder / OUTPUT_MARKER):
            reason = "pictures that inspect wrote"
        elif is_mask_folder(folder.name):
            reason = "a folder of masks"
        elif is_made_by_prepare(folder / "image", top):
            reason = "made by prepare and augment"
        elif folder.is_symlink():
            real = Path(os.path.realpath(folder))
            if any(_one_holds_the_other(real, root) for root in self._roots):
                reason = "a link to a folder that is read already"
            else:
                self._roots.append(real)
        if reason:
            self._leave_out(folder, reason)
        return not reason


def paths_in_lines(lines: Iterable[bytes]) -> Iterator[Path]:
    """The paths in lines of text, as of standard input, each given as soon as its line is there.

    >>> [path.as_posix() for path in paths_in_lines([b"new/a.png\\n", b"\\n", b"b c.png\\r\\n"])]
    ['new/a.png', 'b c.png']
    """
    for line in lines:
        if name := line.rstrip(b"\r\n"):
            yield Path(os.fsdecode(name))


def _is_mask_of_image_beside(path: Path) -> bool:
    """Whether a file is named as the mask of an image in the same folder."""
    stem = without_mask_word(path.stem)
    if stem is None:
        return False
    key = name_key(path.stem)
    if len(key) == len(path.stem):  # as it is written, with capitals
        start = key.index(stem)
        stem = path.stem[start : start + len(stem)]
    suffixes = {path.suffix, *IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES)}
    return any(os.path.isfile(path.with_name(stem + suffix)) for suffix in suffixes)


def _one_holds_the_other(one: PurePath, other: PurePath) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
