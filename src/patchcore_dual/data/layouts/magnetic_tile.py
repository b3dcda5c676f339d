"""Magnetic Tile Defects: MT_KIND/Imgs/NAME.jpg with the mask NAME.png, MT_Free being good."""

import csv
from pathlib import Path

from patchcore_dual.data.layouts.recognise import wrong_layout
from patchcore_dual.data.layouts.source import RawSample, Source, safe_names, some, subfolders
from patchcore_dual.data.reading import list_images
from patchcore_dual.errors import DataError

EXPECTED = "folders MT_Free/Imgs and MT_KIND/Imgs holding NAME.jpg and NAME.png"
TILES_NAME = "tiles.csv"


def read_magnetic_tile(source: Path) -> Source:
    """Read Magnetic Tile Defects. The folder decides label and kind.

    `tiles.csv` in the source (columns image,tile) says which images show the same tile under
    different exposures; a tile is a group. Without it each image is its own.
    """
    folders = [f for f in subfolders(source) if f.name.startswith("MT_") and (f / "Imgs").is_dir()]
    images = [p for f in folders for p in list_images(f / "Imgs") if p.suffix.lower() == ".jpg"]
    if not images:
        raise wrong_layout(source, "magnetic-tile", EXPECTED)
    relative = [p.relative_to(source) for p in images]
    tiles, notes = _read_tiles(source, [p.as_posix() for p in relative])
    # The folder Imgs says nothing, so it stays out of the name.
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
    """The tile of each image, and what is to be said about it."""
    path = source / TILES_NAME
    if not path.is_file():
        return {}, [
            f"No {TILES_NAME} in the source: images of one tile are kept together only where "
            "they are found to be near duplicates."
        ]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"image", "tile"} <= set(reader.fieldnames or ()):
            raise DataError(f"{path}, line 1: expected the columns image,tile.")
        tiles = {row["image"]: row["tile"] for row in reader}
    missing = [image for image in images if not tiles.get(image)]
    notes = [f"{TILES_NAME} names no tile for {some(missing)}: each is its own group."]
    return tiles, notes if missing else []
