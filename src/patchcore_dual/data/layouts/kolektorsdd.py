"""KolektorSDD: kosNN/PartM.jpg with kosNN/PartM_label.bmp, one folder for each commutator."""

from pathlib import Path

from patchcore_dual.data.layouts.layout import (
    Layout,
    RawSample,
    Source,
    WrongLayoutError,
    contains,
    safe_names,
    subfolders,
)
from patchcore_dual.data.listing import list_images
from patchcore_dual.errors import DataError


def _matches(folder: Path) -> bool:
    return contains(folder, "*/*_label.bmp")


def _read(source: Path) -> Source:
    """The mask decides each label; a commutator is a group."""
    images = [
        path
        for folder in subfolders(source)
        if folder.name.startswith("kos")
        for path in list_images(folder)
        if not path.stem.endswith("_label")
    ]
    if not images:
        raise WrongLayoutError
    names = safe_names(p.relative_to(source) for p in images)
    samples = [
        RawSample(image=path, mask=_mask_of(path), name=name, group=path.parent.name)
        for path, name in zip(images, names, strict=True)
    ]
    return Source(samples, has_official_split=False)


def _mask_of(image: Path) -> Path:
    mask = image.with_name(f"{image.stem}_label.bmp")
    if not mask.is_file():
        raise DataError(f"{image} has no mask: expected {mask.name} beside it.")
    return mask


KOLEKTORSDD = Layout(
    name="kolektorsdd",
    files="folders kosNN/ holding PartM.jpg and PartM_label.bmp",
    matches=_matches,
    read=_read,
)
