"""Plain folders: good/, and defect/ or one folder per kind of defect, with optional masks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
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
from patchcore_dual.data.listing import (
    OUTPUT_MARKER,
    LeftOut,
    find_images,
    list_images,
    printable,
)
from patchcore_dual.data.mask_names import (
    is_mask_folder,
    name_key,
    stems_of_image,
    without_mask_word,
)
from patchcore_dual.data.mask_rule import ASK
from patchcore_dual.data.sample import Split
from patchcore_dual.errors import DataError, together

GOOD = "good"
DEFECT = "defect"
MASKS = "masks"
IMAGES = frozenset({"images", "image", "imgs", "img"})
FEW_COLOURS = 4

RULE = (
    f"The mask of KIND/NAME.jpg is {MASKS}/KIND/NAME.png or {MASKS}/NAME.png, or lies beside the "
    "image as NAME_mask.png; _mask, _GT and _label may follow the name."
)


@dataclass(frozen=True)
class _Found:
    """An image, or a mask, and where it lies.

    Attributes:
        path: the file.
        kind: key of its folder below the data set; None for a mask that lies in no kind.
        inside: keys of the folders below that.
    """

    path: Path
    kind: str | None
    inside: tuple[str, ...]


def _matches(folder: Path) -> bool:
    return any(
        name_key(inside.name) == GOOD
        for where in (folder, folder / "train", *_image_folders(folder))
        for inside in subfolders(where)
    )


def _image_folders(folder: Path) -> list[Path]:
    """Folders called images/ or the like that hold good/ for the folder they lie in."""
    return [
        path
        for path in subfolders(folder)
        if name_key(path.name) in IMAGES
        and any(name_key(inside.name) == GOOD for inside in subfolders(path))
    ]


def _read(source: Path) -> Source:
    """The folder decides label and kind, whatever lies between it and the image.

    `RULE` says which mask is whose, and `data/mask_names.py` by which names masks are known. An
    image may have several; a defective image without one is kept, its mask unknown. If everything
    lies in train/ and test/ (each with its own masks/), the split is the data set's own.
    """
    folders: dict[Path, Split | None] = {source: None}
    if (source / "train").is_dir() and (source / "test").is_dir():
        _check_nothing_beside(source)
        folders = {source / "train": "train", source / "test": "test"}
    samples: list[RawSample] = []
    notes: list[str] = []
    n_good = 0
    names: dict[str, str] = {}
    for folder, split in folders.items():
        images, masks, left_out = _list(folder, names)
        n_good += sum(image.kind == GOOD for image in images)
        masks_of, folder_notes = _pair(images, masks, source)
        notes += folder_notes + left_out_notes(left_out, source)
        samples += [_sample(image, masks_of[image.path], split, names) for image in images]
    if not n_good:
        raise WrongLayoutError
    safe = safe_names(sample.image.relative_to(source) for sample in samples)
    samples = [_named(sample, name) for sample, name in zip(samples, safe, strict=True)]
    return Source(samples, has_official_split=len(folders) == 2, notes=notes)


def left_out_notes(left_out: Sequence[LeftOut], source: Path) -> list[str]:
    """A sentence that counts and names what was left out; none where nothing was."""
    if not left_out:
        return []
    named = some(f"{_shown(one.path, source)} ({one.reason})" for one in left_out)
    return [f"{len(left_out)} left out: {named}."]


def _check_nothing_beside(source: Path) -> None:
    beside = [f.name for f in subfolders(source) if f.name not in ("train", "test")]
    if beside:
        raise WrongLayoutError(
            f"{source} has {some(beside)} beside train/ and test/. "
            "Put everything, masks too, inside train/ and test/, or nothing."
        )


def _list(folder: Path, names: dict[str, str]) -> tuple[list[_Found], list[_Found], list[LeftOut]]:
    """The images and masks below `folder`, and what was left out; the kinds' names by key."""
    roots = _image_folders(folder)
    tops = [path for root in roots for path in subfolders(root)]
    tops += [path for path in subfolders(folder) if path not in roots]
    keys = {name_key(top.name) for top in tops}
    images: list[_Found] = []
    masks: list[_Found] = []
    left_out = [LeftOut(path, "beside the folders, in no kind") for path in list_images(folder)]
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (path / OUTPUT_MARKER).exists():
            left_out.append(LeftOut(path, "pictures that inspect wrote"))
    for top in tops:
        key = name_key(top.name)
        if is_mask_folder(top.name):
            kind_of_top = None
        elif (other := without_mask_word(top.name)) in keys:
            kind_of_top = other  # scratch_mask/ beside scratch/
        else:
            names.setdefault(key, top.name)
            found = find_images(top)
            images += [_Found(p, key, _inside(p, top)) for p in found.images]
            masks += [_Found(p, key, _inside(p, top)) for p in found.masks]
            left_out += found.left_out
            continue
        found = find_images(top)
        left_out += found.left_out
        for path in [*found.images, *found.masks]:
            inside = _inside(path, top)
            if kind_of_top is None and inside and inside[0] in keys:
                masks.append(_Found(path, inside[0], inside[1:]))
            else:
                masks.append(_Found(path, kind_of_top, inside))
    stray = {
        image.path
        for image in images
        if image.kind != GOOD and _is_named_as_mask(image.path) and not _is_alone(image, images)
    }
    left_out += [LeftOut(path, "named as a mask, but of no image") for path in sorted(stray)]
    images = [image for image in images if image.path not in stray]
    _check_no_kind_of_masks(images, names)
    return images, masks, left_out


def _inside(path: Path, top: Path) -> tuple[str, ...]:
    """The keys of the folders between a file and `top`, without those for masks."""
    parts = path.relative_to(top).parent.parts
    return tuple(name_key(part) for part in parts if not is_mask_folder(part))


def _is_named_as_mask(path: Path) -> bool:
    ending = name_key(path.stem)
    return without_mask_word(path.stem) is not None and ("mask" in ending or ending[-2:] == "gt")


def _is_alone(image: _Found, images: Sequence[_Found]) -> bool:
    """Whether all images of a kind are named so: then the word is the user's own."""
    return all(_is_named_as_mask(other.path) for other in images if other.kind == image.kind)


def _check_no_kind_of_masks(images: Sequence[_Found], names: dict[str, str]) -> None:
    """A folder whose files are all drawn in a few plain colours holds masks, not parts."""
    by_kind: defaultdict[str, list[Path]] = defaultdict(list)
    for image in images:
        if image.kind and image.kind != GOOD:
            by_kind[image.kind].append(image.path)
    for kind, paths in by_kind.items():
        if all(map(_is_drawn, paths[:3])):
            raise DataError(
                f"{names[kind]}/ holds pictures of a few plain colours, which look like masks: "
                f"{some([path.name for path in paths], 3)}. If they are, call the folder {MASKS}/. "
                f"{RULE}"
            )


def _is_drawn(path: Path) -> bool:
    from PIL import Image  # only here: the command line imports this file

    try:
        with Image.open(path) as image:
            colours = image.getcolors(maxcolors=FEW_COLOURS)
    except Exception:  # A file that cannot be read is met again, and named, where it is read.
        return False
    return colours is not None and len(colours) > 1


def _pair(
    images: Sequence[_Found], masks: Sequence[_Found], source: Path
) -> tuple[dict[Path, list[Path]], list[str]]:
    """The masks of each image, and notes for the user."""

    by_stem: defaultdict[str, list[_Found]] = defaultdict(list)
    for image in images:
        by_stem[name_key(image.path.stem)].append(image)
    masks_of: dict[Path, list[Path]] = {image.path: [] for image in images}
    unused = []
    problems: list[DataError] = []
    for mask in masks:
        try:
            owners = _owners(mask, by_stem, source)
        except DataError as error:
            problems.append(error)
            continue
        for owner in owners:
            masks_of[owner.path].append(mask.path)
        if not owners:
            unused.append(mask.path)
    if problems:
        raise together(problems)
    if masks and len(unused) == len(masks):
        raise DataError(
            f"None of the {len(masks)} masks belongs to an image: "
            f"{some(_shown(path, source) for path in unused)}. {RULE}"
        )
    notes = []
    if unused:
        named = some(_shown(path, source) for path in unused)
        notes.append(f"{len(unused)} masks belong to no image: {named}.")
    return masks_of, notes


def _owners(mask: _Found, by_stem: dict[str, list[_Found]], source: Path) -> list[_Found]:
    """The image of a mask; several where it has the same name in several formats."""
    for stem in stems_of_image(mask.path.stem):
        found = [i for i in by_stem.get(stem, ()) if mask.kind in (None, i.kind)]
        # masks/001.png is that of scratch/001.png, not of good/001.png.
        found = [i for i in found if i.kind != GOOD] or found
        found = [i for i in found if i.inside == mask.inside] or found
        if len({(i.kind, i.inside) for i in found}) > 1:
            raise DataError(
                f"{printable(mask.path)} could be the mask of several images: "
                f"{some(_shown(i.path, source) for i in found)}. "
                f"Put it into {MASKS}/KIND/, or the folder that its image lies in below it."
            )
        if found:
            return found
    return []


def _sample(
    image: _Found, masks: Sequence[Path | None], split: Split | None, names: dict[str, str]
) -> RawSample:
    first, *more = masks or [None]
    return RawSample(
        image=image.path,
        mask=first,
        more_masks=tuple(path for path in more if path),
        mask_rule=ASK,
        name="",
        label="negative" if image.kind == GOOD else "positive",
        split=split,
        kind="" if image.kind in (GOOD, DEFECT) else printable(names[str(image.kind)]),
    )


def _named(sample: RawSample, name: str) -> RawSample:
    return RawSample(**{**vars(sample), "name": name})


def _shown(path: Path, source: Path) -> str:
    return printable(path.relative_to(source).as_posix())


FOLDER = Layout(
    name="folder",
    files="good/ and defect/ or one folder per kind of defect, all optionally in train/ and test/",
    matches=_matches,
    read=_read,
)
