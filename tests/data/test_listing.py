"""Which pictures a folder holds: at every depth, of every usual suffix, and what is left out."""

import os
from pathlib import Path

import pytest

from lookalikes import save, surface
from patchcore_dual.data.listing import (
    IMAGE_SUFFIXES,
    OUTPUT_MARKER,
    find_images,
    list_images,
    printable,
)
from patchcore_dual.data.mask_names import is_mask_folder, stems_of_image
from patchcore_dual.errors import DataError

USUAL_SUFFIXES = {"png", "jpg", "jpeg", "jpe", "jfif", "bmp", "dib", "tif", "tiff", "webp"} | {
    *("gif", "pgm", "ppm", "pbm", "pnm", "jp2", "j2k", "tga", "avif")
}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(paths: list[Path], folder: Path) -> list[str]:
    return [p.relative_to(folder).as_posix() for p in paths]


def test_images_at_every_depth_are_found_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "good/monday/early/10.png", "good/monday/early/9.png", "good/1.JPG", "2.tif")
    expected = ["2.tif", "good/1.JPG", "good/monday/early/9.png", "good/monday/early/10.png"]
    assert names(find_images(tmp_path).images, tmp_path) == expected


@pytest.mark.parametrize("suffix", sorted(USUAL_SUFFIXES))
def test_every_usual_suffix_is_an_image(suffix: str, tmp_path: Path) -> None:
    touch(tmp_path, f"a.{suffix}", f"b.{suffix.upper()}")
    assert len(find_images(tmp_path).images) == len(list_images(tmp_path)) == 2


def test_pictures_that_are_not_read_are_named_with_the_reason(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.HEIC", "c.cr2", "notes.txt", "day.csv", "Thumbs.db")
    save(tmp_path / "d.png", surface(0, 20, 20)).rename(tmp_path / "d.png_large")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    left = {one.path.name: one.reason for one in find_images(tmp_path).left_out}
    assert set(left) == {"b.HEIC", "c.cr2", "d.png_large", "gone.png"}
    assert left["gone.png"] == "a broken link"
    assert ".heic is not read" in left["b.HEIC"]


def test_a_picture_without_a_suffix_is_an_image(tmp_path: Path) -> None:
    save(tmp_path / "a.png", surface(0, 20, 20)).rename(tmp_path / "IMG_0001")
    touch(tmp_path, "README")
    assert names(find_images(tmp_path).images, tmp_path) == ["IMG_0001"]


def test_linked_folders_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "store/1.png", "line/2.png")
    (tmp_path / "line/day1").symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "line/day2").symlink_to(tmp_path / "store", target_is_directory=True)
    touch(tmp_path, "line/zone/3.png")
    (tmp_path / "line/a").symlink_to(tmp_path / "line/zone", target_is_directory=True)
    (tmp_path / "line/up").symlink_to(tmp_path / "line", target_is_directory=True)
    found = find_images(tmp_path / "line")
    assert names(found.images, tmp_path) == [
        "line/2.png",
        "line/day1/1.png",
        "line/zone/3.png",
    ]
    left = names([one.path for one in found.left_out], tmp_path)
    assert left == ["line/a", "line/day2", "line/up"]


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.png", "night/b.png")
    listdir = os.listdir

    def refuse(path: str | Path) -> list[str]:
        if Path(path).name == "night":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    found = find_images(tmp_path)
    assert names(found.images, tmp_path) == ["a.png"]
    assert [(one.path.name, one.reason) for one in found.left_out] == [
        ("night", "cannot be read: Permission denied")
    ]


def test_hidden_and_thumbnail_folders_are_passed_over(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a.png",
        "._a.png",
        ".ipynb_checkpoints/a-checkpoint.png",
        ".thumbnails/a.png",
        "@eaDir/a.png/SYNOPHOTO_THUMB_M.png",
        ".Trash-1000/files/old.png",
        "#recycle/a.png",
        "$RECYCLE.BIN/a.png",
        "__MACOSX/._a.png",
        "deep/.cache/a.png",
    )
    found = find_images(tmp_path)
    assert names(found.images, tmp_path) == ["a.png"]
    assert not found.left_out
    assert not found.masks


@pytest.mark.parametrize(
    "folder", ["masks", "Masks", "ground_truth", "GroundTruth", "gt", "Labels", "annotations"]
)
def test_mask_folders_of_a_training_folder_are_no_images(folder: str, tmp_path: Path) -> None:
    touch(tmp_path, "good/1.png", "crack/2.png", f"{folder}/crack/2.png", f"crack/{folder}/2.png")
    found = find_images(tmp_path)
    assert names(found.images, tmp_path) == ["crack/2.png", "good/1.png"]
    assert len(found.masks) == 2
    # A folder that is named itself is read, whatever its name.
    assert len(find_images(tmp_path / folder).images) == 1


@pytest.mark.parametrize("ending", ["_mask", "_GT", "_label", "-mask", "_mask_1", "_ground_truth"])
def test_masks_beside_their_images_are_no_images(ending: str, tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", f"1{ending}.png", f"2{ending}.png")
    found = find_images(tmp_path)
    assert [p.name for p in found.images] == ["1.jpg", f"2{ending}.png"]
    assert [p.name for p in found.masks] == [f"1{ending}.png"]


def test_pictures_of_an_earlier_inspect_are_named_and_no_images(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", f"pictures/{OUTPUT_MARKER}", "pictures/a.png")
    found = find_images(tmp_path)
    assert names(found.images, tmp_path) == ["a.png"]
    assert [one.reason for one in found.left_out] == ["pictures that inspect wrote"]


def test_a_name_that_is_not_utf8_is_found_and_can_be_printed(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    Path(path).touch()
    (found,) = find_images(tmp_path).images
    assert printable(found.name) == r"caf\xe9.png"
    printable(found).encode()


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        find_images(tmp_path / "none")


def test_names_of_masks() -> None:
    assert not any(map(is_mask_folder, ("good", "scratch", "unmasked", "label damage", "gtx")))
    assert "0001" in stems_of_image("0001.jpg_mask")
    assert stems_of_image("0001_mask")[1] == "0001"
    assert {".png", ".jfif"} <= IMAGE_SUFFIXES
