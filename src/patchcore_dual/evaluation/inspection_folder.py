"""The folder that `inspect --out` writes: pictures, a page to look at them, and all results."""

import io
import json
import os
import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from patchcore_dual._version import __version__
from patchcore_dual.data.listing import OUTPUT_MARKER
from patchcore_dual.data.to_inspect import is_inspection
from patchcore_dual.errors import DataError
from patchcore_dual.evaluation.inspection_page import EMBEDDED_THUMBNAILS, write_inspection_page
from patchcore_dual.scoring.drawing import draw_panels
from patchcore_dual.scoring.inspection import Inspection
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.pictures import jpeg_base64, png_bytes

PAGE = "index.html"
PANEL_SIZE = (640, 800)  # largest width and height of a panel of the small pictures, in pixels
_THUMBNAIL_SIZE = (240, 240)
_PREFIXES = ("pass", "review", "reject", "not-inspected")  # of pictures, by verdict


class InspectionFolder:
    """An inspection as a folder; a file in it marks its pictures as no photographs.

    A picture's name begins with the verdict and is unique whatever the case of its letters. No file
    is overwritten but pictures of an earlier inspection of the same images.

    Args:
        folder: new, empty, or that of an earlier inspection.
        images: all that will be inspected, in order.
        full_size: PNG files at the size of each image, in place of small JPEG files.
        overwrite: whether the results of other images, from an earlier inspection, may be replaced.

    Raises:
        DataError: the folder may not be written into, or holds something else.
    """

    def __init__(
        self,
        folder: Path,
        images: Sequence[Path],
        *,
        full_size: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.folder, self.full_size = folder, full_size
        self._earlier = _earlier_results(folder, images, overwrite)
        self._suffix = ".png" if full_size else ".jpg"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot make {folder}: {error.strerror}.") from None
        ours = {entry.get("picture") for entry in self._earlier.values()}
        ours |= {OUTPUT_MARKER, PAGE} if is_inspection(folder) else set()
        self._names = picture_names(images, {p.name for p in folder.iterdir()} - ours)
        self._thumbnails: dict[str, str] = {}
        self._written: set[str] = set()
        if not is_inspection(folder):  # before the first picture, so that none is ever unmarked
            self._write_record([], {}, is_complete=False)

    def write_picture(self, image: Path, inspection: Inspection) -> str:
        """Write the picture of an inspected image and return its file name.

        Raises:
            DataError: it cannot be written, for example because the disk is full.
        """
        verdict = inspection.verdict.replace(" ", "-")
        name = f"{verdict}-{self._names[os.path.abspath(image)]}{self._suffix}"
        if self.full_size:
            data = png_bytes(inspection.draw().astype(np.uint8))
        else:
            buffer = io.BytesIO()
            picture = Image.fromarray(inspection.draw(largest_panel=PANEL_SIZE))
            picture.save(buffer, format="JPEG", quality=88)
            data = buffer.getvalue()
        write_atomically(self.folder / name, data)
        self._written.add(name)
        before = self._earlier.pop(os.path.abspath(image), {}).get("picture")
        if before and before not in self._written:
            (self.folder / before).unlink(missing_ok=True)
        if len(self._thumbnails) < EMBEDDED_THUMBNAILS:
            self._thumbnails[name] = _thumbnail(inspection)
        return name

    def finish(
        self, results: Sequence[dict[str, Any]], counts: dict[str, int], is_complete: bool
    ) -> Path | None:
        """Write all results, and the page; its path, or None where Jinja2 is not installed.

        Args:
            results: as `Inspection.to_json` gives them, with "picture", a file name or None; or
                with "path" and "error".
            counts: number of images by verdict, and "error".
            is_complete: whether every image was inspected.
        """
        inspected = {os.path.abspath(entry["path"]) for entry in results}
        remaining = [e for path, e in self._earlier.items() if path not in inspected]
        has_all_pictures = all(r.get("picture") or "error" in r for r in results)
        if is_complete and has_all_pictures:
            for entry in self._earlier.values():
                if entry.get("picture") and entry["picture"] not in self._written:
                    (self.folder / entry["picture"]).unlink(missing_ok=True)
            remaining = []
        remaining = [e for e in remaining if e.get("picture") not in self._written]
        self._write_record([*results, *remaining], counts, is_complete)
        return write_inspection_page(
            self.folder / PAGE, results, counts, self._thumbnails, is_complete
        )

    def _write_record(
        self, results: Sequence[dict[str, Any]], counts: dict[str, int], is_complete: bool
    ) -> None:
        record = {
            "made_by": f"patchcore-dual {__version__} inspect",
            "folder": os.getcwd(),
            "complete": is_complete,
            "counts": counts,
            "results": list(results),
        }
        text = json.dumps(record, indent=1) + "\n"
        write_atomically(self.folder / OUTPUT_MARKER, text.encode("ascii"))


def picture_names(images: Sequence[Path], taken: Collection[str] = ()) -> dict[str, str]:
    """A name for the picture of each image, by absolute path, without verdict and suffix.

    Names differ in more than the case of letters, and hold nothing that Windows forbids.

    >>> names = picture_names([Path("a/x.png"), Path("b/X.png"), Path("x-2.png")])
    >>> list(names.values())
    ['x', 'X-2', 'x-2-2']

    Args:
        taken: names of files that may not be overwritten.
    """
    used = {_same_file(name) for name in taken}
    names = {}
    for image in images:
        stem = re.sub(r'[<>:"/\\|?*\x00-\x1f\ud800-\udfff]', "_", image.stem)
        stem = stem.encode()[:160].decode(errors="ignore").rstrip(". ")
        number, name = 1, stem
        while {_same_file(n) for n in _possible_names(name)} & used:
            number += 1
            name = f"{stem}-{number}"
        used |= {_same_file(n) for n in _possible_names(name)}
        names[os.path.abspath(image)] = name
    return names


def _possible_names(name: str) -> list[str]:
    return [f"{prefix}-{name}{suffix}" for prefix in _PREFIXES for suffix in (".jpg", ".png")]


def _same_file(name: str) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _earlier_results(
    folder: Path, images: Sequence[Path], overwrite: bool
) -> dict[str, dict[str, Any]]:
    """The results of an earlier inspection in `folder`, by absolute path of the image."""
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise DataError(f"{folder} is a file. Name a folder for the pictures.")
    if not is_inspection(folder):
        if any(folder.iterdir()):
            raise DataError(
                f"{folder} is not empty and holds no earlier inspection, so that nothing is "
                f"written into it. Name a new folder, as {folder / 'inspection'}."
            )
        return {}
    try:
        record = json.loads((folder / OUTPUT_MARKER).read_bytes())
        results = {
            os.path.abspath(os.path.join(record["folder"], entry["path"])): entry
            for entry in record["results"]
        }
        for entry in results.values():  # a name, not a path that leads out of the folder
            if entry.get("picture") and Path(entry["picture"]).name != entry["picture"]:
                raise ValueError(entry["picture"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{folder / OUTPUT_MARKER} is damaged, so that nothing is written into {folder}. "
            "Name a new folder."
        ) from None
    others = results.keys() - {os.path.abspath(image) for image in images}
    if others and not overwrite:
        example = results[min(others)]["path"]
        raise DataError(
            f"{folder} holds the inspection of other images ({len(others)}, as {example}). "
            "Name another folder, or replace those results and pictures with --overwrite."
        )
    return results


def _thumbnail(inspection: Inspection) -> str:
    """The image with its regions as base64 JPEG."""
    framed, _ = draw_panels(
        inspection.image,
        inspection.heat,
        inspection.regions,
        largest=_THUMBNAIL_SIZE,
        inspected=inspection.inspected,
    )
    return jpeg_base64(framed.astype(np.uint8), _THUMBNAIL_SIZE, quality=78)
