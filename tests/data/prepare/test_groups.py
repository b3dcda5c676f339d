import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalikes import make_kolektorsdd, make_mvtec, save, scratch, surface
from patchcore_dual.data.layouts.layout import RawSample, Source
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.groups import GroupRule, with_groups
from patchcore_dual.data.prepare.placement import SplitSettings
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.prepare.summary import PreparationSummary
from patchcore_dual.data.prepare.update import update
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.experiments.protocols import resplit
from patchcore_dual.training.folds import assign_folds

BALL_SCREW = Path(__file__).parents[4] / "shared/data/ball_screw"
N_PARTS, N_SHOTS = 8, 3


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Eight parts in three photographs each, the first two with a defect in the last of them."""
    folder = tmp_path / "photos"
    for part in range(N_PARTS):
        for shot in range(N_SHOTS):
            image = surface(100 * part + shot, 40, 30)
            is_defective = part < 2 and shot == N_SHOTS - 1
            if is_defective:
                scratch(image, (4, 5, 20, 3))
            kind = "scratch" if is_defective else "good"
            save(folder / kind / f"lot{part}" / f"part{part}_shot{shot}.png", image)
    return folder


def table(folder: Path, rows: list[tuple[str, ...]], name: str = "groups.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")
    return path


def lots(source: Path) -> list[tuple[str, ...]]:
    images = sorted(path.relative_to(source) for path in source.rglob("*.png"))
    return [("image", "group"), *((p.as_posix(), p.parent.name) for p in images)]


def small(source: Path, prepared: Path, **more: Any) -> PreparationSummary:
    return prepare("folder", source, prepared, width=40, height=30, **more)


def members(prepared: Path) -> dict[str, set[str]]:
    found = defaultdict(set)
    for sample in Manifest.load(prepared):
        found[sample.group].add(Path(sample.source).name)
    return dict(found)


def sides(prepared: Path) -> dict[str, set[str]]:
    found = defaultdict(set)
    for sample in Manifest.load(prepared):
        found[sample.group].add(sample.split)
    return dict(found)


EXPECTED = [{f"part{part}_shot{shot}.png" for shot in range(N_SHOTS)} for part in range(N_PARTS)]


@pytest.mark.parametrize("way", ["file", "pattern", "capture", "folder"])
def test_groups_hold_in_the_split_the_folds_and_every_other_split(
    source: Path, tmp_path: Path, way: str
) -> None:
    rule = {
        "file": GroupRule(table(tmp_path, lots(source))),
        "pattern": GroupRule(pattern=r"part\d+"),
        "capture": GroupRule(pattern=r"part(\d+)_shot"),
        "folder": GroupRule(by_folder=True),
    }[way]
    prepared = tmp_path / "p"
    summary = small(source, prepared, groups=rule)
    assert summary.n_groups == N_PARTS
    assert sorted(map(sorted, members(prepared).values())) == list(map(sorted, EXPECTED))
    assert all(len(found) == 1 for found in sides(prepared).values())
    assert json.loads((prepared / "preparation.json").read_text())["groups"] == rule.describe()
    manifest = Manifest.load(prepared)
    training = manifest.part("train").samples
    for seed in range(3):
        fold_of = assign_folds(training, seed)
        by_group = defaultdict(set)
        for sample in training:
            by_group[sample.group].add(fold_of[sample.image])
        assert all(len(folds) == 1 for folds in by_group.values())
        by_group = defaultdict(set)
        for sample in resplit(manifest, seed):
            by_group[sample.group].add(sample.split)
        assert all(len(found) == 1 for found in by_group.values())


def test_groups_are_joined_by_copies_and_near_duplicates(source: Path, tmp_path: Path) -> None:
    (source / "good/lot7/part7_copy.png").write_bytes(
        (source / "good/lot3/part3_shot0.png").read_bytes()
    )
    again = surface(400, 40, 30) // 2 + 30  # lot4, in another light
    save(source / "good/lot5/part5_again.png", again.astype(np.uint8))
    summary = small(source, tmp_path / "p", groups=GroupRule(by_folder=True))
    found = members(tmp_path / "p")
    assert summary.n_groups == N_PARTS - 2
    assert found["lot3"] == EXPECTED[3] | EXPECTED[7]
    assert found["lot4"] == EXPECTED[4] | EXPECTED[5] | {"part5_again.png"}


def test_groups_take_the_place_of_those_of_a_layout(tmp_path: Path) -> None:
    source = make_kolektorsdd(tmp_path / "k", n_commutators=4, n_parts=3)
    rule = GroupRule(pattern=r"Part\d")
    prepare("kolektorsdd", source, tmp_path / "p", width=32, height=48, groups=rule)
    assert set(members(tmp_path / "p")) == {"Part0", "Part1", "Part2"}


def test_a_split_file_names_the_groups(source: Path, tmp_path: Path) -> None:
    rows = [("group", "split"), *((f"lot{n}", "test" if n % 2 else "train") for n in range(8))]
    split = SplitSettings(file=table(tmp_path, rows, "split.csv"))
    small(source, tmp_path / "p", split=split, groups=GroupRule(by_folder=True))
    assert sides(tmp_path / "p") == {f"lot{n}": {"test" if n % 2 else "train"} for n in range(8)}


def test_a_split_file_with_images_gives_groups_as_well(source: Path, tmp_path: Path) -> None:
    rows = [("image", "group", "split")]
    rows += [(i, g, "test" if int(g[-1]) % 2 else "train") for i, g in lots(source)[1:]]
    split = SplitSettings(file=table(tmp_path, rows))
    small(source, tmp_path / "p", split=split)
    assert sides(tmp_path / "p") == {f"lot{n}": {"test" if n % 2 else "train"} for n in range(8)}
    rows[-1] = (*rows[-1][:2], "train")
    with pytest.raises(DataError, match=r"line 25: the group 'lot1' is in train here, and in test"):
        small(source, tmp_path / "q", split=SplitSettings(file=table(tmp_path, rows)))


def test_a_file_of_a_spreadsheet(source: Path, tmp_path: Path) -> None:
    lines = [";".join(row).replace("/", "\\") for row in lots(source)]
    path = tmp_path / "groups.csv"
    path.write_bytes("\r\n".join(["sep=;", *lines, ";"]).encode("utf-16"))
    assert small(source, tmp_path / "p", groups=GroupRule(path)).n_groups == N_PARTS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-2], r"names no group for 2 images: scratch/lot0/part0_shot2\.png, "),
        (lambda rows: [*rows, ("good/x.png", "a")], r"line 26: the data set has no image 'good/x"),
        (lambda rows: [*rows, rows[1]], r"line 26: good/lot0/part0_shot0\.png is named a second"),
        (lambda rows: [*rows[:-1], (rows[-1][0], " ")], r"line 25: .* has an empty group"),
        (lambda rows: [("picture", "group"), *rows[1:]], r"line 1: expected the columns image,"),
        (lambda rows: [rows[0], *((i, "all") for i, _ in rows[1:])], r"24 images are of one group"),
        (lambda rows: [], r"line 1: expected the columns image,group"),
    ],
)
def test_wrong_files(source: Path, tmp_path: Path, change: Any, message: str) -> None:
    path = table(tmp_path, change(lots(source)))
    with pytest.raises(DataError, match=message):
        small(source, tmp_path / "p", groups=GroupRule(path))
    assert not (tmp_path / "p").exists()


def test_all_that_is_wrong_in_a_file_is_said_together(source: Path, tmp_path: Path) -> None:
    path = table(tmp_path, [*lots(source)[:-1], ("good/x.png", "a"), ("good/y.png", "a")])
    with pytest.raises(DataError) as error:
        small(source, tmp_path / "p", groups=GroupRule(path))
    assert all(name in str(error.value) for name in ("x.png", "y.png", "part1_shot2.png"))


def test_a_file_that_is_not_there(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        small(source, tmp_path / "p", groups=GroupRule(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("batch", r"matches none of 24 file names"),
        ("shot2", r"matches only 8 of 24 file names.*part0_shot0\.png"),
        ("part|shot", r"24 images are of one group, 'part'"),
        ("part(x?)", r"matches none of 24"),
    ],
)
def test_wrong_patterns(source: Path, tmp_path: Path, pattern: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        small(source, tmp_path / "p", groups=GroupRule(pattern=pattern))


def test_rules_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no regular expression"):
        GroupRule(pattern="part(")
    with pytest.raises(SettingsError, match="2 capture groups"):
        GroupRule(pattern="(a)(b)")
    with pytest.raises(SettingsError, match="give one of"):
        GroupRule(tmp_path / "a.csv", "a")
    with pytest.raises(SettingsError, match="not for the layout mvtec"):
        with_groups(Source([], False), tmp_path, "mvtec", GroupRule(by_folder=True))


def test_images_in_no_folder_below_their_kind(source: Path, tmp_path: Path) -> None:
    save(source / "good/stray.png", surface(999, 40, 30))
    with pytest.raises(DataError, match=r"holds only 24 of 25 images.*stray\.png"):
        small(source, tmp_path / "p", groups=GroupRule(by_folder=True))


def test_folders_of_train_and_test_and_images_are_not_groups(tmp_path: Path) -> None:
    for side in ("train", "test"):
        for part in range(3):
            name = f"{side}/images/good/{side}-{part}/cam/0.png"
            save(tmp_path / "s" / name, surface(hash_of(name), 40, 30))
    small(tmp_path / "s", tmp_path / "p", groups=GroupRule(by_folder=True))
    expected = {f"{side}-{part}/cam" for side in ("train", "test") for part in range(3)}
    assert set(members(tmp_path / "p")) == expected


def hash_of(name: str) -> int:
    return sum(i * c for i, c in enumerate(name.encode()))


def test_a_group_on_both_sides_of_a_given_split(tmp_path: Path) -> None:
    source = make_mvtec(tmp_path / "bottle")
    with pytest.raises(DataError, match=r"group '000' has images on both sides.*train/good/000"):
        prepare("mvtec", source, tmp_path / "p", groups=GroupRule(pattern=r"\d+"))


def test_new_images_come_with_their_groups(source: Path, tmp_path: Path) -> None:
    path, prepared = table(tmp_path, lots(source)), tmp_path / "p"
    small(source, prepared, groups=GroupRule(path))
    before = {s.source: (s.group, s.split) for s in Manifest.load(prepared)}
    side_of = dict(before.values())
    for lot in (2, 6, 9):
        for shot in range(10, 13):
            save(
                source / f"good/lot{lot}/new{lot}_{shot}.png",
                surface(5000 + 20 * lot + shot, 40, 30),
            )
    with pytest.raises(SettingsError, match=r"groups from the file groups\.csv. Give it again"):
        update("folder", source, prepared)
    with pytest.raises(DataError, match="names no group for 9 images"):
        update("folder", source, prepared, groups=GroupRule(path))
    path = table(tmp_path, lots(source))
    update("folder", source, prepared, groups=GroupRule(path))
    now = {s.source: (s.group, s.split) for s in Manifest.load(prepared)}
    assert {name: now[name] for name in before} == before
    new = {name: value for name, value in now.items() if name not in before}
    assert len(new) == 9
    for name, (group, side) in new.items():
        assert group == Path(name).parent.name
        assert side == side_of.get(group, side)
    assert all(len(found) == 1 for found in sides(prepared).values())


def test_a_table_may_name_images_that_were_prepared_and_are_not_there_any_more(
    source: Path, tmp_path: Path
) -> None:
    prepared, rows = tmp_path / "p", lots(source)
    path = table(tmp_path, rows)
    small(source, prepared, groups=GroupRule(path))
    gone = source / rows[1][0]
    gone.unlink()
    save(source / "good/lot3/new.png", surface(7000, 40, 30))
    more = table(tmp_path, [*rows, ("good/lot3/new.png", "lot3")])
    summary = update("folder", source, prepared, groups=GroupRule(more))
    assert "1 images are not in the data set any more, and stay" in " ".join(summary.notes)
    assert {rows[1][0], "good/lot3/new.png"} <= {s.source for s in Manifest.load(prepared)}
    unknown = table(tmp_path, [*rows, ("good/lot3/new.png", "lot3"), ("good/never.png", "lot3")])
    with pytest.raises(DataError, match=r"no image 'good/never\.png'"):
        update("folder", source, prepared, groups=GroupRule(unknown))


def test_an_update_keeps_the_rule(source: Path, tmp_path: Path) -> None:
    prepared = tmp_path / "p"
    small(source, prepared, groups=GroupRule(pattern=r"part\d+"))
    save(source / "good/lot3/part3_new.png", surface(7000, 40, 30))
    with pytest.raises(SettingsError, match="groups from the pattern"):
        update("folder", source, prepared, groups=GroupRule(by_folder=True))
    update("folder", source, prepared)
    assert "part3_new.png" in members(prepared)["part3"]
    small(source, tmp_path / "q")
    with pytest.raises(SettingsError, match="without groups of your own"):
        update("folder", source, tmp_path / "q", groups=GroupRule(by_folder=True))


def test_an_update_does_not_regroup(source: Path, tmp_path: Path) -> None:
    prepared = tmp_path / "p"
    small(source, prepared, groups=GroupRule(table(tmp_path, lots(source))))
    rows = lots(source)
    rows[1] = (rows[1][0], "lot5")
    with pytest.raises(DataError, match=r"is now of the group 'lot5'.*prepared in 'lot0'|lot5"):
        update("folder", source, prepared, groups=GroupRule(table(tmp_path, rows)))


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=12), st.randoms())
def test_any_file_that_names_every_image_is_followed(groups: list[str], random: Any) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        names = [f"good/Tür {i}.png" for i in range(len(groups))]
        rows = [("image", "group"), *zip(names, groups, strict=True)]
        shuffled = [rows[0], *random.sample(rows[1:], len(groups))]
        path = table(Path(folder), shuffled)
        found = Source([RawSample(Path("in", n), None, n) for n in names], False)
        if len(set(groups)) < 2:
            with pytest.raises(DataError, match="of one group"):
                with_groups(found, Path("in"), "folder", GroupRule(path))
        else:
            grouped = with_groups(found, Path("in"), "folder", GroupRule(path))
            assert [s.group for s in grouped.samples] == groups


@pytest.mark.skipif(not BALL_SCREW.is_dir(), reason=f"{BALL_SCREW} is not on this machine")
def test_places_of_a_real_ball_screw_stay_apart(tmp_path: Path) -> None:
    path = BALL_SCREW / "groups.csv"
    summary = prepare(
        "folder", BALL_SCREW, tmp_path / "p", width=48, height=20, groups=GroupRule(path)
    )
    with path.open(newline="") as file:
        place_of = {row["image"]: row["group"] for row in csv.DictReader(file)}
    assert summary.n_groups == len(set(place_of.values())) == 15
    assert {s.source: s.group for s in Manifest.load(tmp_path / "p")}.items() <= place_of.items()
    assert all(len(found) == 1 for found in sides(tmp_path / "p").values())
