"""Magnetic Tile Defects: MT_KIND/Imgs/NAME.jpg with the mask NAME.png; MT_Free is normal."""

from pathlib import Path

from patchcore_dual.data.csv_files import read_csv_file
from patchcore_dual.data.layouts.layout import (
    Layout,
    RawSample,
    Source,
    WrongLayoutError,
    contains,
    safe_names,
    some,
    subfolders,
)
from patchcore_dual.data.listing import list_images
from patchcore_dual.errors import DataError

TILES_NAME = "tiles.csv"


def _matches(folder: Path) -> bool:
    return contains(folder, "MT_*/Imgs")


def _read(source: Path) -> Source:
    """The folder decides label and kind.

    `tiles.csv` in the source (columns image,tile) lists which images show the same tile under
    different exposures; a tile is a group. Without it, every image is a group of its own.
    """
    folders = [f for f in subfolders(source) if f.name.startswith("MT_") and (f / "Imgs").is_dir()]
    images = [p for f in folders for p in list_images(f / "Imgs") if p.suffix.lower() == ".jpg"]
    if not images:
        raise WrongLayoutError
    relative = [p.relative_to(source) for p in images]
    tiles, notes = _read_tiles(source, [p.as_posix() for p in relative])
    # Every image lies in a folder Imgs, which is left out of its name.
    names = safe_names(Path(p.parts[0], p.name) for p in relative)
    samples = [
        _sample(path, name, tiles.get(key.as_posix(), ""))
        for path, name, key in zip(images, names, relative, strict=True)
    ]
    return Source(samples, has_official_split=False, notes=notes)


def _sample(image: Path, name: str, tile: str) -> RawSample:
    kind = image.parent.parent.name.removeprefix("MT_")
    mask = image.with_suffix(".png")
    return RawSample(
        image=image,
        mask=mask if mask.is_file() else None,
        name=name,
        label="negative" if kind == "Free" else "positive",
        kind="" if kind == "Free" else kind,
        group=tile,
    )


def _read_tiles(source: Path, images: list[str]) -> tuple[dict[str, str], list[str]]:
    """The tile of each image, and notes for the user."""
    path = source / TILES_NAME
    if not path.is_file():
        return {}, [
            f"No {TILES_NAME} in the source: images of one tile are kept together only where "
            "they are near duplicates."
        ]
    table = read_csv_file(path)
    if not {"image", "tile"} <= set(table.columns):
        raise DataError(f"{path}, line 1: expected the columns image,tile.")
    rows = [dict(zip(table.columns, values, strict=True)) for _, values in table.rows]
    tiles = {row["image"].strip().replace("\\", "/"): row["tile"].strip() for row in rows}
    missing = [image for image in images if not tiles.get(image)]
    notes = [f"{TILES_NAME} names no tile for {some(missing)}: each is its own group."]
    return tiles, notes if missing else []


MAGNETIC_TILE = Layout(
    name="magnetic-tile",
    files="folders MT_Free/Imgs and MT_KIND/Imgs holding NAME.jpg and NAME.png",
    matches=_matches,
    read=_read,
)
