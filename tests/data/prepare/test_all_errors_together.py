"""All that is wrong with a data set is said in one error."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lookalikes import make_folder, make_kolektorsdd, save
from patchcore_dual.data.prepare.placement import SplitSettings
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.errors import MAX_LISTED, DataError, ImageError, together


def test_all_kinds_of_errors_are_listed_together(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "f")
    for name in ("good/1.png", "scratch/2.png"):
        (source / name).write_bytes((source / name).read_bytes()[:60])
    save(source / "masks/scratch/0_mask.png", np.zeros((7, 9), np.uint8))
    save(source / "masks/scratch/3_mask.png", np.full((30, 40), 255, np.uint8))
    shutil.copy(source / "good/4.png", source / "stain/same.png")
    with pytest.raises(DataError) as caught:
        prepare("folder", source, tmp_path / "p")
    first, *lines = str(caught.value).splitlines()
    assert first == "5 problems:"
    for words in (
        "good/1.png",
        "scratch/2.png",
        "0_mask.png is 9x7",
        "3_mask.png has one value everywhere",
        "good/4.png and stain/same.png are the same picture",
    ):
        assert sum(words in line for line in lines) == 1
    assert "all unreadable files out with --skip-unreadable" in lines[-1]
    assert not (tmp_path / "p").exists()


def test_with_skip_unreadable_the_other_errors_are_listed_together(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "f")
    (source / "good/1.png").write_bytes(b"none")
    for number in (0, 1):
        save(source / f"masks/scratch/{number}_mask.png", np.zeros((7, 9), np.uint8))
    with pytest.raises(ImageError, match="2 problems:") as caught:
        prepare("folder", source, tmp_path / "p", skip_unreadable=True)
    assert "good/1.png" not in str(caught.value)
    for number in (0, 1):
        (source / f"masks/scratch/{number}_mask.png").unlink()
    summary = prepare("folder", source, tmp_path / "p", skip_unreadable=True)
    assert list(summary.skipped) == ["good/1.png"]
    assert "good/1.png" in summary.skipped["good/1.png"]


def test_masks_that_could_be_of_several_images_are_listed_together(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "f")
    for number in (0, 1):
        shutil.copy(source / f"scratch/{number}.png", source / f"stain/{number}.png")
        mask = source / f"masks/scratch/{number}_mask.png"
        mask.rename(source / f"masks/{number}.png")
    with pytest.raises(DataError, match=r"2 problems:(.|\n)*/0\.png could(.|\n)*/1\.png could"):
        prepare("folder", source, tmp_path / "p")


def test_lines_of_a_split_file_are_listed_together(tmp_path: Path) -> None:
    source = make_kolektorsdd(tmp_path / "k")
    path = tmp_path / "split.csv"
    path.write_text("group,split\nkos01,train\nkos02,left\nkos99,test\nkos01,test\n")
    with pytest.raises(DataError, match=r"3 problems:(.|\n)*line 3(.|\n)*line 4(.|\n)*line 5"):
        prepare("kolektorsdd", source, tmp_path / "p", split=SplitSettings(file=path))


def test_very_many_errors_are_counted() -> None:
    error = together([DataError(f"{i}.png.") for i in range(200)])
    lines = str(error).splitlines()
    assert lines[0] == "200 problems:"
    assert lines[-2:] == [f"  … {200 - MAX_LISTED} more", "  199.png."]
    assert len(lines) == MAX_LISTED + 2
