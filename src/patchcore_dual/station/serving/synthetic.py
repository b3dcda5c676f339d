"""The synthetic defects that a model may be fitted with, and a person's verdict on each."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.review import REJECT_NAME, read_list, rejected, run_images
from patchcore_dual.errors import DataError, PatchCoreDualError
from patchcore_dual.model.schema import MODEL_FILE, read_model_file
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.locking import locked

_RUNS = "synthetic"  # in a prepared folder
_IMAGE = r"\d{4,}\.png"


def synthetic_images(folder: Path) -> list[dict[str, Any]]:
    """The synthetic images in the prepared folder of a model; none where it is not at hand.

    Returns:
        Of each its `run`, `image`, `kind` and whether it `is_rejected`.
    """
    found = []
    for run in _runs(folder):
        left_out = rejected(run)
        for name in sorted(run_images(run)):
            found.append({"run": run.name, "image": name, "is_rejected": name in left_out})
    return found


def judge(folder: Path, run: str, image: str, is_rejected: bool) -> None:
    """Accept or reject a synthetic image; the next fit uses those that are not rejected.

    Raises:
        DataError: where there is no such image.
    """
    place = image_path(folder, run, image).parent
    with locked(place, "review", "", wait=10):
        path = place / REJECT_NAME
        names = set(read_list(path)) if path.is_file() else set()
        names = names | {image} if is_rejected else names - {image}
        accepted = place / "accept.txt"
        if accepted.is_file() and not is_rejected and image not in read_list(accepted):
            text = accepted.read_text(encoding="utf-8-sig").rstrip("\n")
            write_atomically(accepted, f"{text}\n{image}\n".encode())
        write_atomically(path, "".join(f"{name}\n" for name in sorted(names)).encode())


def image_path(folder: Path, run: str, image: str) -> Path:
    """The file of a synthetic image, by the names that `synthetic_images` gave.

    Names from outside are compared with those that are there, and never made part of a path.

    Raises:
        DataError: where there is no such image.
    """
    for place in _runs(folder):
        if place.name == run and re.fullmatch(_IMAGE, image) and image in run_images(place):
            return place / image
    raise DataError(f"there is no synthetic image {image!r} in a run {run!r}.")


def prepared_folder(folder: Path) -> Path | None:
    """Where the images lie that a model was fitted on; None where it does not say.

    Args:
        folder: of the model.
    """
    path = folder / MODEL_FILE
    try:
        calibration = read_model_file(path.read_bytes(), path).calibration
    except (PatchCoreDualError, OSError):
        return None
    return Path(calibration["prepared"]) if calibration else None


def _runs(folder: Path) -> Iterator[Path]:
    prepared = prepared_folder(folder)
    if prepared is None:
        return
    try:
        Manifest.load(prepared)
        yield from sorted(p for p in (prepared / _RUNS).iterdir() if p.is_dir())
    except (PatchCoreDualError, OSError):
        return
