"""Masks of published layouts are questioned as a user's own are, and read as they were."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalikes import make_kolektorsdd, make_ksdd2, make_magnetic_tile, make_mvtec
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.mask_rule import MaskRule
from patchcore_dual.data.masks import read_prepared_mask
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_mask
from patchcore_dual.errors import DataError

MAKERS = {
    "ksdd2": (partial(make_ksdd2, scale=0.2), "*/*_GT.png"),
    "kolektorsdd": (make_kolektorsdd, "*/*_label.bmp"),
    "mvtec": (make_mvtec, "ground_truth/*/*.png"),
    "magnetic-tile": (make_magnetic_tile, "MT_*/Imgs/*.png"),
}


def masks_of(layout: str, folder: Path) -> list[Path]:
    """The masks that mark something, in a new look-alike."""
    make, pattern = MAKERS[layout]
    make(folder)
    return [path for path in sorted(folder.glob(pattern)) if np.asarray(Image.open(path)).any()]


def replace_mask(path: Path, change: str) -> None:
    mask = np.array(Image.open(path).convert("L"))
    if change == "inverted":
        mask = 255 - mask
    elif change == "large":
        mask[5:, 5:] = 255
    else:
        mask[mask > 0], mask[:2, :2] = 1, 255
    Image.fromarray(mask).save(path)


@pytest.mark.parametrize("layout", MAKERS)
def test_one_large_mask_is_listed_and_read_as_it_is(layout: str, tmp_path: Path) -> None:
    path = masks_of(layout, tmp_path / "source")[0]
    replace_mask(path, "large")
    large = np.asarray(Image.open(path)) > 0
    summary = prepare(layout, tmp_path / "source", tmp_path / "p")
    (note,) = [n for n in summary.notes if "more than half" in n]
    assert note.startswith("WARNING: 1 of ")
    assert path.name in note
    manifest = Manifest.load(tmp_path / "p")
    read = [read_prepared_mask(p).mean() for s in manifest if (p := manifest.mask_path(s))]
    assert large.mean() in read
    accepted = prepare(
        *(layout, tmp_path / "source", tmp_path / "p"), overwrite=True, masks=MaskRule(large=True)
    )
    assert not [n for n in accepted.notes if "more than half" in n]


@pytest.mark.parametrize("layout", MAKERS)
def test_masks_that_are_mostly_large_are_an_error(layout: str, tmp_path: Path) -> None:
    for path in masks_of(layout, tmp_path / "source"):
        replace_mask(path, "large")
    with pytest.raises(DataError, match=r"mark more than half of their image.*--large-masks"):
        prepare(layout, tmp_path / "source", tmp_path / "p")
    assert not (tmp_path / "p").exists()
    prepare(layout, tmp_path / "source", tmp_path / "p", masks=MaskRule(large=True))


@pytest.mark.parametrize("layout", ["ksdd2", "kolektorsdd"])
def test_inverted_masks_that_decide_the_labels_are_an_error(layout: str, tmp_path: Path) -> None:
    make, pattern = MAKERS[layout]
    make(tmp_path / "source")
    for path in sorted((tmp_path / "source").glob(pattern)):
        replace_mask(path, "inverted")  # those of normal images then are white all over
    with pytest.raises(DataError, match="If they are inverted, invert them"):
        prepare(layout, tmp_path / "source", tmp_path / "p")


@pytest.mark.parametrize("layout", [name for name in MAKERS if name != "kolektorsdd"])
def test_ignore_labels_in_a_published_layout_are_asked_about(layout: str, tmp_path: Path) -> None:
    path = masks_of(layout, tmp_path / "source")[0]
    replace_mask(path, "ignore-label")
    with pytest.raises(DataError, match=rf"{path.name} has the label 255.*--ignore-label"):
        prepare(layout, tmp_path / "source", tmp_path / "p")
    prepare(layout, tmp_path / "source", tmp_path / "p", masks=MaskRule(ignore=255))
    left_out = read_mask(path, MaskRule(ignore=255)).mean()
    manifest = Manifest.load(tmp_path / "p")
    read = [read_prepared_mask(p).mean() for s in manifest if (p := manifest.mask_path(s))]
    assert left_out in read
