import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lookalikes import (
    make_folder,
    make_kolektorsdd,
    make_ksdd2,
    make_magnetic_tile,
    make_mvtec,
    save,
    surface,
)
from patchcore_dual.data.layouts import LAYOUTS
from patchcore_dual.data.layouts.layout import RawSample, safe_names
from patchcore_dual.data.layouts.recognise import read_source, recognise
from patchcore_dual.data.listing import OUTPUT_MARKER
from patchcore_dual.errors import DataError

MAKERS: dict[str, Callable[[Path], Path]] = {
    "ksdd2": lambda f: make_ksdd2(f, scale=0.2),
    "kolektorsdd": make_kolektorsdd,
    "mvtec": make_mvtec,
    "magnetic-tile": make_magnetic_tile,
    "folder": make_folder,
}


def by_path(samples: list[RawSample], source: Path) -> dict[str, RawSample]:
    return {s.image.relative_to(source).as_posix(): s for s in samples}


@pytest.mark.parametrize("layout", MAKERS)
def test_names_are_unique_and_safe(layout: str, tmp_path: Path) -> None:
    source = read_source(layout, MAKERS[layout](tmp_path))
    names = [s.name for s in source.samples]
    assert len({n.casefold() for n in names}) == len(names) > 0
    assert all(re.fullmatch(r"[\w.-]+", n) for n in names)


@pytest.mark.parametrize("named", MAKERS)
@pytest.mark.parametrize("real", MAKERS)
def test_wrong_layout_is_refused_and_the_right_one_named(
    named: str, real: str, tmp_path: Path
) -> None:
    MAKERS[real](tmp_path)
    if named == real:
        return
    with pytest.raises(DataError, match=rf"layout {named}: expected .*; found .*layout {real}"):
        read_source(named, tmp_path)


@pytest.mark.parametrize("layout", MAKERS)
def test_each_layout_is_recognised_by_its_own_signs(layout: str, tmp_path: Path) -> None:
    assert recognise(tmp_path) is None
    assert recognise(MAKERS[layout](tmp_path)) == LAYOUTS[layout].name == layout


def test_every_layout_has_a_look_alike() -> None:
    assert set(LAYOUTS) == set(MAKERS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_missing_empty_and_file(layout: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_source(layout, tmp_path / "none")
    with pytest.raises(DataError, match="found an empty folder"):
        read_source(layout, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file"):
        read_source(layout, tmp_path / "file")


def test_data_set_one_folder_further_down_is_pointed_to(tmp_path: Path) -> None:
    make_kolektorsdd(tmp_path / "KolektorSDD")
    with pytest.raises(DataError, match=r"KolektorSDD \(kolektorsdd\).*Name one of them"):
        read_source("kolektorsdd", tmp_path)


def test_ksdd2_leaves_stray_copies_out_and_says_so(tmp_path: Path) -> None:
    source = read_source("ksdd2", make_ksdd2(tmp_path, scale=0.2))
    assert source.has_official_split
    assert len(source.samples) == 16 + 9
    assert {s.split for s in source.samples} == {"train", "test"}
    assert all(s.label is None and s.mask for s in source.samples)
    (note,) = source.notes
    assert "2 stray copies left out" in note
    assert "train/10015 (copy).png" in note
    assert "train/10015_GT (copy).png" in note


def test_ksdd2_copy_without_its_original_is_used(tmp_path: Path) -> None:
    make_ksdd2(tmp_path, scale=0.2)
    (tmp_path / "train/10015.png").unlink()
    source = read_source("ksdd2", tmp_path)
    assert len(source.samples) == 25
    sample = by_path(source.samples, tmp_path)["train/10015 (copy).png"]
    assert sample.mask == tmp_path / "train/10015_GT.png"


def test_ksdd2_image_without_mask_is_named(tmp_path: Path) -> None:
    make_ksdd2(tmp_path, scale=0.2)
    (tmp_path / "test/20003_GT.png").unlink()
    with pytest.raises(DataError, match=r"20003\.png has no mask: expected 20003_GT\.png"):
        read_source("ksdd2", tmp_path)


def test_kolektorsdd_groups_by_commutator(tmp_path: Path) -> None:
    source = read_source("kolektorsdd", make_kolektorsdd(tmp_path))
    assert not source.has_official_split
    sample = by_path(source.samples, tmp_path)["kos03/Part1.jpg"]
    assert (sample.group, sample.name, sample.label) == ("kos03", "kos03-Part1", None)
    (tmp_path / "kos03/Part1_label.bmp").unlink()
    with pytest.raises(DataError, match=r"Part1\.jpg has no mask"):
        read_source("kolektorsdd", tmp_path)


def test_mvtec(tmp_path: Path) -> None:
    source = read_source("mvtec", make_mvtec(tmp_path / "bottle"))
    sample = by_path(source.samples, tmp_path / "bottle")["test/hole/001.png"]
    assert (sample.label, sample.kind, sample.split) == ("positive", "hole", "test")
    assert sample.mask == tmp_path / "bottle/ground_truth/hole/001_mask.png"
    make_mvtec(tmp_path / "cable")
    with pytest.raises(DataError, match="several categories of MVTec AD: bottle, cable"):
        read_source("mvtec", tmp_path)
    (tmp_path / "cable/ground_truth/hole/001_mask.png").unlink()
    with pytest.raises(DataError, match="has no mask"):
        read_source("mvtec", tmp_path / "cable")


def test_magnetic_tile_with_and_without_tiles(tmp_path: Path) -> None:
    source = read_source("magnetic-tile", make_magnetic_tile(tmp_path))
    samples = by_path(source.samples, tmp_path)
    bad = samples["MT_Blowhole/Imgs/exp2_num_101.jpg"]
    assert (bad.label, bad.kind, bad.group) == ("positive", "Blowhole", "blowhole-001")
    good = samples["MT_Free/Imgs/exp1_num_0.jpg"]
    assert (good.label, good.kind, good.name) == ("negative", "", "MT_Free-exp1_num_0")
    (tmp_path / "tiles.csv").unlink()
    source = read_source("magnetic-tile", tmp_path)
    assert {s.group for s in source.samples} == {""}
    assert "No tiles.csv" in source.notes[0]
    (tmp_path / "tiles.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="expected the columns image,tile"):
        read_source("magnetic-tile", tmp_path)


def test_folder_finds_masks_in_each_place(tmp_path: Path) -> None:
    make_folder(tmp_path)
    save(tmp_path / "masks/s0.png", surface(0, 40, 30)[..., 0])
    save(tmp_path / "masks/stain/s1_GT.png", surface(0, 40, 30)[..., 0])
    save(tmp_path / "masks/stain/zzz.png", surface(0, 40, 30)[..., 0])
    source = read_source("folder", tmp_path)
    masks = {n: s.mask for n, s in by_path(source.samples, tmp_path).items()}
    assert masks["scratch/0.png"] == tmp_path / "masks/scratch/0_mask.png"
    assert masks["stain/s0.png"] == tmp_path / "masks/s0.png"
    assert masks["stain/s1.png"] == tmp_path / "masks/stain/s1_GT.png"
    assert masks["stain/s2.png"] is None
    assert masks["good/0.png"] is None
    assert "1 masks belong to no image" in source.notes[0]


def test_folder_with_shared_mask_names_is_refused_where_ambiguous(tmp_path: Path) -> None:
    for kind in ("good", "scratch", "stain"):
        save(tmp_path / kind / "1.png", surface(0, 40, 30))
    save(tmp_path / "masks/1.png", surface(0, 40, 30)[..., 0])
    with pytest.raises(DataError, match="could be the mask of several images"):
        read_source("folder", tmp_path)


def test_folder_with_a_split_of_its_own(tmp_path: Path) -> None:
    make_folder(tmp_path / "train")
    make_folder(tmp_path / "test", n_good=3, n_bad=2)
    source = read_source("folder", tmp_path)
    assert source.has_official_split
    assert len(source.samples) == 16 + 7
    (tmp_path / "test/defect").mkdir()
    save(tmp_path / "test/defect/x.png", surface(5, 40, 30))
    sample = by_path(read_source("folder", tmp_path).samples, tmp_path)["test/defect/x.png"]
    assert (sample.label, sample.kind, sample.split) == ("positive", "", "test")
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match="masks beside train/ and test/"):
        read_source("folder", tmp_path)


def test_safe_names() -> None:
    paths = ["a/b.png", "a/b.jpg", "A/B.png", "x y/ö (1).png", "a/b-2.png", "(.png"]
    names = safe_names(map(Path, paths))
    assert names == ["a-b", "a-b-2", "A-B-3", "x_y-ö_1_", "a-b-2-2", "_"]


def parts_with_masks_in(folder: Path, where: Callable[[str], str]) -> Path:
    """good/ and scratch/, whose masks lie where `where` says for the number of an image."""
    make_folder(folder)
    (folder / "masks/scratch").rename(folder / ".painted")
    (folder / "masks").rmdir()
    for number in range(4):
        target = folder / where(str(number))
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / f".painted/{number}_mask.png").rename(target)
    return folder


@pytest.mark.parametrize(
    "where",
    [
        "masks/scratch/{}.png",
        "Masks/scratch/{}.png",
        "mask/scratch/{}.png",
        "ground_truth/scratch/{}_mask.png",
        "Ground Truth/Scratch/{}.png",
        "gt/{}.png",
        "GT/scratch/{}_gt.bmp",
        "labels/{}.png",
        "annotations/scratch/{}.tif",
        "scratch/masks/{}.png",
        "scratch/GT/{}.gif",
        "scratch_mask/{}.png",
        "scratch/{}_mask.png",
        "scratch/{}_GT.PNG",
        "scratch/{}_label.bmp",
        "scratch/{}-mask.jpg",
        "scratch/mask_{}.png",
        "masks/scratch/{}.png.png",
    ],
)
def test_masks_are_found_by_their_usual_names_and_places(where: str, tmp_path: Path) -> None:
    parts_with_masks_in(tmp_path, where.format)
    source = read_source("folder", tmp_path)
    samples = by_path(source.samples, tmp_path)
    assert len(samples) == 16
    for number in range(4):
        assert samples[f"scratch/{number}.png"].mask == tmp_path / where.format(number)
    assert {s.kind for s in samples.values()} == {"", "scratch", "stain"}
    assert source.notes == []


def test_several_masks_of_an_image_are_all_its_own(tmp_path: Path) -> None:
    parts_with_masks_in(tmp_path, "masks/scratch/{}_mask_1.png".format)
    save(tmp_path / "masks/scratch/2_mask_2.png", surface(0, 40, 30)[..., 0])
    samples = by_path(read_source("folder", tmp_path).samples, tmp_path)
    named = [path.name for path in samples["scratch/2.png"].masks]
    assert named == ["2_mask_1.png", "2_mask_2.png"]


def test_accents_written_in_either_way_are_one_name(tmp_path: Path) -> None:
    save(tmp_path / "good/0.png", surface(0, 40, 30))
    save(tmp_path / "d\u00e9faut/\u00e9.png", surface(1, 40, 30))
    mask = save(tmp_path / "masks/de\u0301faut/e\u0301.png", surface(0, 40, 30)[..., 0])
    (sample,) = [s for s in read_source("folder", tmp_path).samples if s.label == "positive"]
    assert sample.mask == mask


def test_masks_of_no_image_stop_with_the_rule(tmp_path: Path) -> None:
    parts_with_masks_in(tmp_path, "masks/scratch/photo{}.png".format)
    with pytest.raises(DataError, match=r"None of the 4 masks.*KIND/NAME\.png"):
        read_source("folder", tmp_path)


def test_a_kind_of_drawn_pictures_is_taken_for_masks(tmp_path: Path) -> None:
    parts_with_masks_in(tmp_path, "painted/{}.png".format)
    with pytest.raises(DataError, match="painted/ holds pictures of a few plain colours"):
        read_source("folder", tmp_path)


def test_images_below_the_first_level_and_good_in_capitals_are_read(tmp_path: Path) -> None:
    save(tmp_path / "good/0.png", surface(0, 40, 30))
    save(tmp_path / "Good/monday/1.png", surface(1, 40, 30))
    save(tmp_path / "crack/cam1/2.png", surface(2, 40, 30))
    save(tmp_path / "crack/cam2/2.png", surface(3, 40, 30))
    mask = save(tmp_path / "masks/crack/cam2/2.png", surface(0, 40, 30)[..., 0])
    samples = by_path(read_source("folder", tmp_path).samples, tmp_path)
    labels = {name: (s.label, s.kind) for name, s in samples.items()}
    assert labels == {
        "good/0.png": ("negative", ""),
        "Good/monday/1.png": ("negative", ""),
        "crack/cam1/2.png": ("positive", "crack"),
        "crack/cam2/2.png": ("positive", "crack"),
    }
    assert samples["crack/cam2/2.png"].mask == mask
    assert samples["crack/cam1/2.png"].mask is None


def test_everything_left_out_is_counted_and_named(tmp_path: Path) -> None:
    make_folder(tmp_path)
    save(tmp_path / "loose.png", surface(0, 40, 30))
    (tmp_path / "good/phone.heic").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / OUTPUT_MARKER).touch()
    save(tmp_path / "out/0.png", surface(0, 40, 30))
    save(tmp_path / "@eaDir/0.png", surface(0, 40, 30))
    source = read_source("folder", tmp_path)
    assert len(source.samples) == 16
    (note,) = source.notes
    assert note.startswith("3 left out: ")
    assert all(name in note for name in ("loose.png", "good/phone.heic", "out"))


def test_images_and_masks_in_folders_of_their_own(tmp_path: Path) -> None:
    make_folder(tmp_path / "images")
    (tmp_path / "images/masks").rename(tmp_path / "masks")
    assert recognise(tmp_path) == "folder"
    samples = by_path(read_source("folder", tmp_path).samples, tmp_path)
    assert samples["images/scratch/0.png"].mask == tmp_path / "masks/scratch/0_mask.png"


def test_mvtec_masks_of_any_suffix_and_several_of_an_image(tmp_path: Path) -> None:
    folder = make_mvtec(tmp_path / "bottle")
    mask = folder / "ground_truth/hole/001_mask.png"
    mask.rename(mask.with_name("001_mask_1.bmp"))
    save(mask.with_name("001_mask_2.bmp"), surface(0, 48, 40)[..., 0])
    sample = by_path(read_source("mvtec", folder).samples, folder)["test/hole/001.png"]
    assert [path.name for path in sample.masks] == ["001_mask_1.bmp", "001_mask_2.bmp"]


def test_one_of_the_folders_of_a_data_set_names_the_folder_above(tmp_path: Path) -> None:
    make_folder(tmp_path / "parts")
    for name in ("good", "scratch"):
        with pytest.raises(DataError, match=r"The folder above it, .*parts, looks like one: try"):
            read_source("folder", tmp_path / "parts" / name)
