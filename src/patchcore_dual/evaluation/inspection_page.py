"""The page of an inspection: counts, and all images to filter by verdict, in one HTML file."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from patchcore_dual.utils.pages import legible, page_environment, write_page

EMBEDDED_THUMBNAILS = 500
"""So many thumbnails are in the page itself; further ones are the pictures beside it."""

_ORDER = {"error": 0, "not inspected": 1, "reject": 2, "review": 3, "pass": 4}


def write_inspection_page(
    path: Path,
    results: Sequence[dict[str, Any]],
    counts: Mapping[str, int],
    thumbnails: Mapping[str, str],
    is_complete: bool = True,
) -> Path | None:
    """Write the page, which needs no network; None where Jinja2 is not installed.

    Args:
        path: of the page, in the folder of the pictures.
        results: as for `InspectionFolder.finish`.
        counts: number of images by verdict, and "error".
        thumbnails: base64 JPEG files by name of the picture.
        is_complete: whether every image was inspected.
    """
    if not page_can_be_written():
        return None
    environment = page_environment()
    environment.filters.update(address=lambda name: quote(name))
    place = _common_folder([result["path"] for result in results])
    html = environment.get_template("inspection.html").render(
        title=f"Inspection of {legible(place.name)}" if place.name else "Inspection",
        date=datetime.now().strftime("%Y-%m-%d, %H:%M"),
        place=str(place),
        file_names={path: os.path.relpath(path, place) for path in (r["path"] for r in results)},
        results=sorted(results, key=_worst_first),
        counts=counts,
        thumbnails=thumbnails,
        is_complete=is_complete,
    )
    write_page(path, html)
    return path


def page_can_be_written() -> bool:
    """Whether Jinja2 is installed."""
    return find_spec("jinja2") is not None


def _common_folder(paths: Sequence[str]) -> Path:
    """The deepest folder that holds all files; the working folder where there is none."""
    try:
        return Path(os.path.commonpath([os.path.abspath(Path(path).parent) for path in paths]))
    except ValueError:  # no files, or on several drives
        return Path.cwd()


def _worst_first(result: dict[str, Any]) -> tuple[int, float]:
    return _ORDER[result.get("verdict", "error")], -result.get("score", 0.0)
