import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalikes import (
    make_folder,
    make_kolektorsdd,
    make_ksdd2,
    make_magnetic_tile,
    make_mvtec,
    save,
    scratch,
    surface,
)
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.placement import SplitSettings, join_groups
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.prepare.summary import PreparationSummary
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.errors import DataError, ImageError, SettingsError

KOLEKTORSDD = Path(__file__).parents[4] / "shared/data/kolektorsdd"


def small(layout: str, source: Path, prepared: Path, **more: Any) -> PreparationSummary:
    return prepare(layout, source, prepared, **{"width": 32, "height": 48, **more})


def files(folder: Path) -> dict[str, bytes]:
    found = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


@pytest.fixture
def kolektor(tmp_path: Path) -> Path:
    return make_kolektorsdd(tmp_path / "source")


def test_ksdd2_from_end_to_end(tmp_path: Path) -> None:
    source, folder = make_ksdd2(tmp_path / "KSDD2"), tmp_path / "prepared"
    summary = prepare("ksdd2", source, folder, width=224, height=632)
    manifest = Manifest.load(folder)
    counts = Counter((s.split, s.label) for s in manifest)
    assert counts == {
        ("train", "negative"): 12,
        ("train", "positive"): 4,
        ("test", "negative"): 6,
        ("test", "positive"): 3,
    }
    assert sum(c.images for c in summary.counts) == 25
    assert "2 stray copies" in summary.notes[0]
    assert summary.original_width is not None
    assert summary.original_width.min < summary.original_width.max
    for s in manifest:
        path = manifest.mask_path(s)
        assert path is not None
        assert s.image == f"{s.split}/{s.label}/{Path(s.image).name}"
        assert read_image(manifest.image_path(s)).shape == (632, 224, 3)
        mask = read_mask(path)
        assert mask.shape == (632, 224)
        assert mask.any() == s.is_defective
        assert (source / s.source).is_file()
        crop = folder / s.split / "crops" / f"{Path(s.image).stem}-0.png"
        assert crop.is_file() == s.is_defective
    assert set(np.unique(read_image(folder / "train/masks/train-10000.png"))) == {0, 255}


def test_thin_defect_survives_any_size(tmp_path: Path) -> None:
    source = make_ksdd2(tmp_path / "KSDD2", scale=0.5)
    for number, (width, height) in enumerate([(64, 64), (30, 301), (112, 316)]):
        folder = tmp_path / f"prepared{number}"
        prepare("ksdd2", source, folder, width=width, height=height)
        assert read_mask(folder / "train/masks/train-10000.png").any()


def test_native_size_changes_nothing(tmp_path: Path) -> None:
    source = make_ksdd2(tmp_path / "KSDD2", scale=0.2)
    prepare("ksdd2", source, tmp_path / "prepared")
    manifest = Manifest.load(tmp_path / "prepared")
    for s in manifest:
        original = read_image(source / s.source)
        assert np.array_equal(read_image(manifest.image_path(s)), original)


def test_twice_gives_the_same_bytes(kolektor: Path, tmp_path: Path) -> None:
    small("kolektorsdd", kolektor, tmp_path / "a")
    small("kolektorsdd", kolektor, tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    small("kolektorsdd", kolektor, tmp_path / "a", overwrite=True)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_groups_stay_on_one_side_for_every_seed(kolektor: Path, tmp_path: Path) -> None:
    sides = []
    for seed in (0, 1, 2):
        folder = tmp_path / f"p{seed}"
        small("kolektorsdd", kolektor, folder, split=SplitSettings(seed=seed))
        side_of: dict[str, set[str]] = {}
        for s in Manifest.load(folder):
            side_of.setdefault(s.group, set()).add(s.split)
        assert set(map(len, side_of.values())) == {1}
        assert len(side_of) == 6
        sides.append(frozenset(g for g, s in side_of.items() if s == {"train"}))
        assert len(sides[-1]) == 3
    assert len(set(sides)) > 1


def test_exact_copies_and_near_duplicates(kolektor: Path, tmp_path: Path) -> None:
    for name in ("Part0.jpg", "Part0_label.bmp"):
        (kolektor / "kos02" / name).write_bytes((kolektor / "kos01" / name).read_bytes())
    near = read_image(kolektor / "kos03/Part1.jpg")[..., 0] // 2 + 20
    save(kolektor / "kos04/Part1.jpg", near.astype(np.uint8))
    summary = small("kolektorsdd", kolektor, tmp_path / "p")
    assert summary.dropped_copies == ["kos02/Part0.jpg"]
    groups = {s.source: s.group for s in Manifest.load(tmp_path / "p")}
    assert len(groups) == 17
    assert groups["kos02/Part1.jpg"] == groups["kos01/Part1.jpg"] == "kos01"
    assert groups["kos04/Part2.jpg"] == groups["kos03/Part0.jpg"] == "kos03"
    assert not summary.audit.has_leakage


def test_official_test_set_keeps_its_copies(tmp_path: Path) -> None:
    source = make_mvtec(tmp_path / "bottle")
    same = (source / "train/good/000.png").read_bytes()
    (source / "train/good/001.png").write_bytes(same)
    for name in ("test/good/000.png", "test/good/001.png"):
        (source / name).write_bytes(same)
    for name in ("003.png", "004.png"):
        (source / "train/good" / name).write_bytes((source / "train/good/002.png").read_bytes())
    summary = small("mvtec", source, tmp_path / "p")
    assert summary.dropped_copies == [f"train/good/00{i}.png" for i in (0, 1, 3, 4)]
    assert not summary.audit.has_leakage
    assert sum(s.split == "test" for s in Manifest.load(tmp_path / "p")) == 12


def test_near_duplicates_across_an_official_split_are_reported(tmp_path: Path) -> None:
    source = make_mvtec(tmp_path / "bottle")
    near = read_image(source / "train/good/000.png") // 2 + 30
    save(source / "test/good/000.png", near.astype(np.uint8))
    summary = small("mvtec", source, tmp_path / "p")
    (pair,) = summary.audit.near_duplicates_across_split
    assert (pair.first, pair.second) == ("train/good/000.png", "test/good/000.png")
    assert len({s.group for s in Manifest.load(tmp_path / "p")}) == 18


def test_train_defects_move_by_kind_and_seed(tmp_path: Path) -> None:
    source = make_mvtec(tmp_path / "bottle")
    chosen = set()
    for seed in range(4):
        folder = tmp_path / f"p{seed}"
        small("mvtec", source, folder, split=SplitSettings(seed=seed, train_defects=2))
        train = Manifest.load(folder).part("train", "positive")
        assert sorted(s.kind for s in train) == ["crack", "hole"]
        chosen.add(frozenset(s.source for s in train))
    assert len(chosen) > 1
    with pytest.raises(SettingsError, match="has 6 defective images"):
        small("mvtec", source, tmp_path / "x", split=SplitSettings(train_defects=6))


def test_train_defects_where_they_make_no_sense(kolektor: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a split of their own"):
        small("kolektorsdd", kolektor, tmp_path / "p", split=SplitSettings(train_defects=2))
    source = make_ksdd2(tmp_path / "KSDD2", scale=0.2)
    with pytest.raises(SettingsError, match="training side has no defective"):
        small("ksdd2", source, tmp_path / "p", split=SplitSettings(train_defects=2))


def test_split_file_imposes_the_split(kolektor: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("group,split\n" + "".join(f"kos0{i},test\n" for i in (1, 2, 3)))
    with pytest.raises(DataError, match="3 groups belong: kos04"):
        small("kolektorsdd", kolektor, tmp_path / "p", split=SplitSettings(file=path))
    path.write_text(path.read_text() + "".join(f"kos0{i},train\n" for i in (4, 5, 6)))
    small("kolektorsdd", kolektor, tmp_path / "p", split=SplitSettings(file=path))
    sides = {s.group: s.split for s in Manifest.load(tmp_path / "p")}
    assert sides == {f"kos0{i}": "test" if i < 4 else "train" for i in range(1, 7)}


def test_magnetic_tile_empty_mask_of_a_defect_is_unknown(tmp_path: Path) -> None:
    source = make_magnetic_tile(tmp_path / "mt")
    summary = small("magnetic-tile", source, tmp_path / "p")
    manifest = Manifest.load(tmp_path / "p")
    (unknown,) = [s for s in manifest if not s.mask_is_known]
    assert (unknown.kind, unknown.label) == ("Uneven", "positive")
    assert summary.n_unknown_masks == 1
    assert not (tmp_path / "p" / unknown.split / "masks" / Path(unknown.image).name).exists()


def test_folder_kinds_and_unknown_masks(tmp_path: Path) -> None:
    summary = small("folder", make_folder(tmp_path / "f"), tmp_path / "p")
    assert {(c.label, c.kind) for c in summary.counts} == {
        ("negative", ""),
        ("positive", "scratch"),
        ("positive", "stain"),
    }
    assert summary.n_unknown_masks == 4
    assert summary.defect_area is not None
    assert summary.defect_area.median == 40
    assert summary.defect_share is not None
    assert summary.defect_share.max == pytest.approx(40 / 1200, abs=1e-6)


def test_preparation_json_and_manifest_agree(kolektor: Path, tmp_path: Path) -> None:
    summary = small("kolektorsdd", kolektor, tmp_path / "p")
    facts = json.loads((tmp_path / "p/preparation.json").read_text())
    assert facts == json.loads(json.dumps(summary.to_json()))
    assert facts["size"] == "32x48"
    assert facts["split"] == {"by": "group", "train_fraction": 0.5, "seed": 0}
    with (tmp_path / "p/manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == facts["n_images"] == 18
    assert str(tmp_path) not in (tmp_path / "p/preparation.json").read_text()


def test_preparing_into_the_source_does_not_read_it_back(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "f")
    first = small("folder", source, source / "prepared")
    second = small("folder", source, source / "prepared", overwrite=True)
    assert first.to_json() == second.to_json()
    with pytest.raises(DataError, match="would take the place of its source"):
        small("folder", source, source, overwrite=True)
    with pytest.raises(DataError, match="would take the place of its source"):
        small("folder", source, tmp_path, overwrite=True)


def test_existing_folders_are_left_alone(kolektor: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    save(foreign / "holiday.png", surface(0, 8, 8))
    for overwrite in (False, True):
        with pytest.raises(DataError, match="holds no prepared data set"):
            small("kolektorsdd", kolektor, foreign, overwrite=overwrite)
    assert list(files(foreign)) == ["holiday.png"]
    with pytest.raises(DataError, match="is a file"):
        small("kolektorsdd", kolektor, foreign / "holiday.png")
    (tmp_path / "empty").mkdir()
    small("kolektorsdd", kolektor, tmp_path / "empty")
    with pytest.raises(DataError, match=r"already holds a prepared data set.*--overwrite"):
        small("kolektorsdd", kolektor, tmp_path / "empty")


@pytest.mark.parametrize("broken", ["Part1.jpg", "Part1_label.bmp"])
def test_unreadable_file_is_named_or_skipped(kolektor: Path, tmp_path: Path, broken: str) -> None:
    path = kolektor / "kos03" / broken
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ImageError, match=rf"{broken} cannot be read.*--skip-unreadable"):
        small("kolektorsdd", kolektor, tmp_path / "p")
    assert not (tmp_path / "p").exists()
    summary = small("kolektorsdd", kolektor, tmp_path / "p", skip_unreadable=True)
    assert list(summary.skipped) == ["kos03/Part1.jpg"]
    assert broken in summary.skipped["kos03/Part1.jpg"]
    assert summary.n_images == 17


def test_mask_of_another_size_is_refused_with_both_sizes(kolektor: Path, tmp_path: Path) -> None:
    save(kolektor / "kos03/Part1_label.bmp", np.zeros((20, 30), np.uint8))
    for skip in (False, True):
        with pytest.raises(ImageError, match=r"Part1_label\.bmp is 30x20.*Part1\.jpg is 50x126"):
            small("kolektorsdd", kolektor, tmp_path / "p", skip_unreadable=skip)


def test_normal_image_with_a_defect_in_its_mask_is_refused(tmp_path: Path) -> None:
    source = make_magnetic_tile(tmp_path / "mt")
    mask = scratch(surface(0, 60, 70), (3, 4, 5, 6))
    save(source / "MT_Free/Imgs/exp1_num_1.png", mask)
    with pytest.raises(DataError, match=r"exp1_num_1\.jpg lies among.*exp1_num_1\.png marks 30"):
        small("magnetic-tile", source, tmp_path / "p")


def test_no_normal_images(tmp_path: Path) -> None:
    source = make_magnetic_tile(tmp_path / "mt")
    for path in (source / "MT_Free/Imgs").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no readable normal images"):
        small("magnetic-tile", source, tmp_path / "p")


def test_empty_training_side(kolektor: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("group,split\n" + "".join(f"kos0{i},test\n" for i in range(1, 7)))
    with pytest.raises(DataError, match=r"training side .* has no normal images"):
        small("kolektorsdd", kolektor, tmp_path / "p", split=SplitSettings(file=path))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_preparation_leaves_what_was_there(
    kolektor: Path, tmp_path: Path, error: type[BaseException]
) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "writing images" and done == 5:
            raise error

    for overwrite in (False, True):
        before = files(tmp_path)
        with pytest.raises(error):
            small("kolektorsdd", kolektor, tmp_path / "p", progress=stop, overwrite=overwrite)
        assert files(tmp_path) == before
        assert not list(tmp_path.glob(".*"))
        if not overwrite:
            small("kolektorsdd", kolektor, tmp_path / "p")


def test_remains_of_a_killed_preparation_are_removed(kolektor: Path, tmp_path: Path) -> None:
    save(tmp_path / ".p.partial/train/negative/old.png", surface(0, 8, 8))
    small("kolektorsdd", kolektor, tmp_path / "p")
    assert not (tmp_path / ".p.partial").exists()
    assert not (tmp_path / "p/train/negative/old.png").exists()


def test_bad_settings(kolektor: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no layout 'kolektor'; use one of ksdd2"):
        small("kolektor", kolektor, tmp_path / "p")
    with pytest.raises(SettingsError, match="positive"):
        prepare("kolektorsdd", kolektor, tmp_path / "p", width=0, height=5)


def test_joined_groups() -> None:
    groups = {"a1": "A", "a2": "A", "b1": "B", "c1": "C", "d1": "D"}
    joined = join_groups(groups, [("b1", "c1"), ("c1", "a2")])
    assert joined == {"a1": "A", "a2": "A", "b1": "A", "c1": "A", "d1": "D"}


@pytest.mark.skipif(not KOLEKTORSDD.is_dir(), reason=f"{KOLEKTORSDD} is not on this machine")
def test_real_kolektorsdd(tmp_path: Path) -> None:
    summary = small("kolektorsdd", KOLEKTORSDD, tmp_path / "p")
    assert summary.n_images == 383
    expected = [f"{folder}/Part{i}.jpg" for folder in ("kos26", "kos34") for i in range(8)]
    assert summary.dropped_copies == expected
    differing = [c.images for c in summary.audit.copies if c.masks_differ]
    assert differing == [
        ("kos01/Part5.jpg", "kos26/Part5.jpg"),
        ("kos27/Part0.jpg", "kos34/Part0.jpg"),
    ]
    # The same commutator, photographed twice and begun at another part.
    near = {(p.first, p.second) for p in summary.audit.near_duplicates}
    assert near == {(f"kos38/Part{i}.jpg", f"kos39/Part{(i + 6) % 8}.jpg") for i in range(8)}
    assert summary.n_groups == 47
    assert not summary.audit.has_leakage
