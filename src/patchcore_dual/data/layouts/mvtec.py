"""MVTec AD, one category: train/good, test/good, test/KIND, ground_truth/KIND/NNN_mask.png."""

from pathlib import Path

from patchcore_dual.data.layouts.layout import (
    Layout,
    RawSample,
    Source,
    WrongLayoutError,
    safe_names,
    some,
    subfolders,
)
from patchcore_dual.data.listing import list_images
from patchcore_dual.data.mask_names import name_key, without_mask_word
from patchcore_dual.data.sample import Split
from patchcore_dual.errors import DataError

GOOD = "good"


def _matches(folder: Path) -> bool:
    return (folder / "train" / GOOD).is_dir() and (folder / "ground_truth").is_dir()


def _read(source: Path) -> Source:
    """The folder decides label and kind; the split is the data set's own."""
    if not _is_category(source):
        if categories := [f.name for f in subfolders(source) if _is_category(f)]:
            raise DataError(
                f"{source} holds several categories of MVTec AD: {some(categories, 20)}. "
                f"Name one of them, as {source / categories[0]}."
            )
        raise WrongLayoutError
    splits: tuple[Split, ...] = ("train", "test")
    found = [
        (split, image)
        for split in splits
        for folder in subfolders(source / split)
        for image in list_images(folder)
    ]
    names = safe_names(image.relative_to(source) for _, image in found)
    samples = [
        _sample(source, split, image, name)
        for (split, image), name in zip(found, names, strict=True)
    ]
    return Source(samples, has_official_split=True)


def _is_category(folder: Path) -> bool:
    return (folder / "train" / GOOD).is_dir() and (folder / "test").is_dir()


def _sample(source: Path, split: Split, image: Path, name: str) -> RawSample:
    kind = image.parent.name
    if kind == GOOD:
        return RawSample(image=image, mask=None, name=name, label="negative", split=split)
    folder = source / "ground_truth" / kind
    wanted = f"{image.stem}_mask.png"
    masks = [folder / wanted] if (folder / wanted).is_file() else _masks_of(image, folder)
    if not masks:
        raise DataError(f"{image} has no mask: expected {folder / wanted}.")
    return RawSample(
        image=image,
        mask=masks[0],
        more_masks=tuple(masks[1:]),
        name=name,
        label="positive",
        split=split,
        kind=kind,
    )


def _masks_of(image: Path, folder: Path) -> list[Path]:
    """The masks of an image under other names than the data set's own."""
    stem = name_key(image.stem)
    masks = list_images(folder) if folder.is_dir() else []
    return [path for path in masks if stem in (name_key(path.stem), without_mask_word(path.stem))]


MVTEC = Layout(
    name="mvtec",
    files="train/good, test/good, test/KIND and ground_truth/KIND/NNN_mask.png of one category",
    matches=_matches,
    read=_read,
)
