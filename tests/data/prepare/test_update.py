"""Adding to a prepared folder: what is there stays, what is new is placed by the same rules."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalikes import make_folder, make_kolektorsdd, make_mvtec, save, scratch, surface
from patchcore_dual.data.audit import audit_folder
from patchcore_dual.data.manifest import PREPARATION_NAME, Manifest
from patchcore_dual.data.prepare.placement import SplitSettings
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.prepare.update import update
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.data.review import rejected
from patchcore_dual.data.sample import Sample
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.synthesis import GENERATORS
from patchcore_dual.synthesis.runs.run import enrol, run_folder
from patchcore_dual.synthesis.runs.synthesise import synthesise


def files(folder: Path) -> dict[str, bytes]:
    found = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def by_source(folder: Path) -> dict[str, Sample]:
    return {s.source: s for s in Manifest.load(folder).real()}


def augment(prepared: Path, count: int = 5, name: str = "strokes") -> Path:
    run = run_folder(prepared, name)
    rows = synthesise(Manifest.load(prepared), [GENERATORS["strokes"]()], count, 0, run)
    enrol(prepared, run, rows)
    return run


def defect(path: Path, seed: int) -> None:
    """An image of a scratch, without a mask."""
    image = surface(seed, 40, 30)
    scratch(image, (4, 9, 20, 2))
    save(path, image)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "s")


@pytest.fixture
def prepared(source: Path, tmp_path: Path) -> Path:
    prepare("folder", source, tmp_path / "p", width=40, height=32)
    return tmp_path / "p"


def test_new_images_are_added_and_all_that_was_there_stays_to_the_byte(
    source: Path, prepared: Path
) -> None:
    run = augment(prepared)
    (run / "reject.txt").write_text("0002\n")
    (prepared / "notes.txt").write_text("mine")
    before, rows = files(prepared), by_source(prepared)
    for number in range(20, 26):
        save(source / f"good/{number}.png", surface(500 + number, 40, 30))
    defect(source / "scratch/9.png", 999)
    summary = update("folder", source, prepared)
    after = files(prepared)
    kept = {name: content for name, content in after.items() if name in before}
    changed = {name for name in kept if kept[name] != before[name]}
    assert changed == {"manifest.csv", "preparation.json"}
    assert set(before) <= set(after)
    now = by_source(prepared)
    assert {name: now[name] for name in rows} == rows
    assert set(now) - set(rows) == {*(f"good/{n}.png" for n in range(20, 26)), "scratch/9.png"}
    assert rejected(run) == {"0002.png"}
    assert len(Manifest.load(prepared).synthetic()) == 4
    assert summary.n_images == len(now) == 23
    assert json.loads((prepared / "preparation.json").read_text())["n_images"] == 23
    assert "7 images added" in summary.notes[0]
    assert any("5 synthetic images stay, in synthetic/strokes" in n for n in summary.notes)
    assert not list(prepared.parent.glob(".*"))


def test_an_update_gives_what_preparing_all_of_it_would_but_for_the_sides(
    source: Path, prepared: Path, tmp_path: Path
) -> None:
    for number in range(20, 26):
        save(source / f"good/{number}.png", surface(500 + number, 40, 30))
    update("folder", source, prepared)
    prepare("folder", source, tmp_path / "q", width=40, height=32)
    anew = by_source(tmp_path / "q")
    for name, row in by_source(prepared).items():
        for one, other in ((row.image, anew[name].image), (row.mask, anew[name].mask)):
            assert bool(one) == bool(other)
            if one:
                assert (prepared / one).read_bytes() == (tmp_path / "q" / other).read_bytes()
        assert (row.label, row.kind, row.group) == (
            anew[name].label,
            anew[name].kind,
            anew[name].group,
        )


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.8, 1])
def test_sides_of_new_groups_bring_the_whole_near_to_the_fraction(
    tmp_path: Path, fraction: float
) -> None:
    source, split = make_folder(tmp_path / "s", n_good=10), SplitSettings(fraction)
    prepare("folder", source, tmp_path / "p", width=40, height=32, split=split)
    for round_ in range(3):  # one by one in the end
        for number in range((10, 9, 1)[round_]):
            name = f"good/{round_}-{number}.png"
            save(source / name, surface(1000 + 100 * round_ + number, 40, 30))
        update("folder", source, tmp_path / "p")
    good = [s for s in by_source(tmp_path / "p").values() if s.label == "negative"]
    assert len(good) == 30
    assert abs(sum(s.split == "train" for s in good) - 30 * fraction) <= 1


def test_with_nothing_new_nothing_is_written(source: Path, prepared: Path) -> None:
    before = files(prepared)
    summary = update("folder", source, prepared)
    assert summary.notes[0].startswith("Nothing to add: 16 images")
    assert files(prepared) == before


def test_new_images_join_the_group_and_side_of_their_part_and_of_what_they_resemble(
    tmp_path: Path,
) -> None:
    source = make_kolektorsdd(tmp_path / "k", n_commutators=6)
    prepare("kolektorsdd", source, tmp_path / "p", width=32, height=48)
    rows = by_source(tmp_path / "p")
    groups = {row.group: row.split for row in rows.values()}
    save(source / "kos02/Part7.jpg", surface(777, 50, 126)[..., 0])
    near = read_image(source / "kos05/Part1.jpg")[..., 0] // 2 + 20
    save(source / "kos11/Part0.jpg", near.astype(np.uint8))
    save(source / "kos11/Part1.jpg", surface(778, 50, 126)[..., 0])
    for part in range(2):
        save(source / f"kos12/Part{part}.jpg", surface(780 + part, 50, 126)[..., 0])
    for name in ("kos02/Part7", "kos11/Part0", "kos11/Part1", "kos12/Part0", "kos12/Part1"):
        save(source / f"{name}_label.bmp", np.zeros((126, 50), np.uint8))
    update("kolektorsdd", source, tmp_path / "p")
    now = by_source(tmp_path / "p")
    assert {name: now[name] for name in rows} == rows
    assert (now["kos02/Part7.jpg"].group, now["kos02/Part7.jpg"].split) == (
        "kos02",
        groups["kos02"],
    )
    for part in range(2):
        assert now[f"kos11/Part{part}.jpg"].group == "kos05"
        assert now[f"kos11/Part{part}.jpg"].split == groups["kos05"]
    assert now["kos12/Part0.jpg"].split == now["kos12/Part1.jpg"].split
    assert not audit_folder(tmp_path / "p").has_leakage


def test_groups_that_are_there_are_not_joined_by_a_new_image_between_them(
    source: Path, prepared: Path
) -> None:
    rows = by_source(prepared)
    sides = {side: next(r for r in rows.values() if r.split == side) for side in ("train", "test")}
    mixed = [read_image(source / row.source).astype(int) for row in sides.values()]
    save(source / "good/between.png", ((mixed[0] + mixed[1]) // 2).astype(np.uint8))
    update("folder", source, prepared)
    now = by_source(prepared)
    assert {name: now[name] for name in rows} == rows


def test_copies_of_images_that_are_there_are_dropped_and_named(
    source: Path, prepared: Path
) -> None:
    shutil.copy(source / "good/3.png", source / "good/copy.png")
    save(source / "good/new.png", surface(800, 40, 30))
    shutil.copy(source / "good/new.png", source / "good/newer.png")
    summary = update("folder", source, prepared)
    assert summary.dropped_copies == ["good/copy.png", "good/newer.png"]
    assert "good/new.png" in by_source(prepared)
    assert len(by_source(prepared)) == 17


def test_another_picture_under_a_known_name_is_refused_and_all_are_named(
    source: Path, prepared: Path
) -> None:
    before = files(prepared)
    for number in (1, 2):
        save(source / f"good/{number}.png", surface(600 + number, 40, 30))
    with pytest.raises(DataError, match=r"2 problems:(.|\n)*good/1\.png is not the picture"):
        update("folder", source, prepared)
    assert files(prepared) == before
    assert not list(prepared.parent.glob(".*"))


def test_a_folder_of_new_images_alone_adds_them_and_the_others_stay_and_are_named(
    prepared: Path, tmp_path: Path
) -> None:
    rows = by_source(prepared)
    for number in range(4):
        save(tmp_path / f"more/good/batch2-{number}.png", surface(900 + number, 40, 30))
    summary = update("folder", tmp_path / "more", prepared)
    now = by_source(prepared)
    assert {name: now[name] for name in rows} == rows
    assert len(now) == 20
    assert any(n.startswith("16 images are not in the data set any more") for n in summary.notes)


def test_a_copy_of_an_image_that_is_not_in_the_source_any_more_is_its_new_name(
    source: Path, prepared: Path
) -> None:
    run = augment(prepared, 6)
    old = next(s for s in by_source(prepared).values() if s.label == "negative")
    (source / old.source).rename(source / "scratch/found.png")
    summary = update("folder", source, prepared)
    row = by_source(prepared)["scratch/found.png"]
    assert (row.label, row.kind, row.mask) == ("positive", "scratch", "")
    assert (row.image, row.group, row.split) == (old.image, old.group, old.split)
    assert old.source not in by_source(prepared)
    assert summary.n_images == 16
    assert any(f"{old.source} as scratch/found.png" in n for n in summary.notes)
    assert (run / "0001.png").is_file()


def test_masks_that_are_new_or_changed_are_taken_and_former_ones_kept(
    source: Path, prepared: Path
) -> None:
    rows = by_source(prepared)
    assert not rows["stain/s1.png"].mask
    mask = np.zeros((30, 40), np.uint8)
    mask[10:20, 10:20] = 255
    save(source / "masks/stain/s1.png", mask)
    save(source / "masks/scratch/2_mask.png", mask)
    former = (prepared / rows["scratch/2.png"].mask).read_bytes()
    summary = update("folder", source, prepared)
    now = by_source(prepared)
    for name in ("stain/s1.png", "scratch/2.png"):
        assert now[name].split == rows[name].split
        marked = read_mask(prepared / now[name].mask)
        assert marked[12:20, 11:19].all()
        assert marked.sum() < 130
        crops = prepared / now[name].split / "crops"
        assert (crops / f"{Path(now[name].image).stem}-0.png").is_file()
    previous = (prepared / now["scratch/2.png"].mask).with_name("scratch-2-previous.png")
    assert previous.read_bytes() == former
    assert any(n.startswith("2 masks are new or changed: ") for n in summary.notes)
    assert summary.n_unknown_masks == 3
    n_crops = len(list(prepared.rglob("crops/*.png")))
    assert summary.n_crops == n_crops


def test_masks_that_the_source_no_longer_has_stay_and_are_named(
    source: Path, prepared: Path
) -> None:
    (source / "masks/scratch/2_mask.png").unlink()
    before = files(prepared)
    summary = update("folder", source, prepared)
    assert any(
        n == "1 masks are not in the data set any more, and stay: scratch/2.png."
        for n in summary.notes
    )
    assert files(prepared) == before


def test_synthetic_images_of_changed_parents_are_named(source: Path, prepared: Path) -> None:
    augment(prepared, 20)
    parents = {p for s in Manifest.load(prepared).synthetic() for p in s.parents}
    row = next(s for s in by_source(prepared).values() if s.image in parents)
    (source / row.source).rename(source / "stain/was-good.png")
    summary = update("folder", source, prepared)
    assert any(
        "synthetic images were made from images that have changed" in n for n in summary.notes
    )


def test_a_name_that_was_given_before_is_not_given_again(source: Path, prepared: Path) -> None:
    before = files(prepared)
    save(source / "good/a b.png", surface(801, 40, 30))
    update("folder", source, prepared)
    save(source / "good/a_b.png", surface(802, 40, 30))
    (source / "good/0.png").rename(source / "good/zero.png")
    save(source / "good/0 .png", surface(803, 40, 30))
    update("folder", source, prepared)
    rows = by_source(prepared)
    assert len({s.image.casefold() for s in rows.values()}) == len(rows) == 19
    for name in ("good/a b.png", "good/a_b.png", "good/0 .png"):
        assert read_image(prepared / rows[name].image).shape == (32, 40, 3)
    assert all(
        files(prepared)[name] == content
        for name, content in before.items()
        if name.endswith(".png")
    )


def test_columns_and_rejected_images_stay_in_the_manifest(source: Path, prepared: Path) -> None:
    run = augment(prepared)
    (run / "reject.txt").write_text("0001\n")
    path = prepared / "manifest.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"{line},{i or 'lot'}" for i, line in enumerate(lines)) + "\n")
    rows = {s.image: dict(s.extra) for s in Manifest.load(prepared, with_rejected=True)}
    save(source / "good/new.png", surface(801, 40, 30))
    update("folder", source, prepared)
    now = {s.image: dict(s.extra) for s in Manifest.load(prepared, with_rejected=True)}
    assert {name: now[name] for name in rows} == rows
    assert len(now) == len(rows) + 1


def test_the_settings_of_the_folder_are_kept_and_others_refused(
    source: Path, prepared: Path, tmp_path: Path
) -> None:
    for options, message in (
        ({"size": "64x64"}, r"--size is 64x64, but .* was prepared with 40x32"),
        ({"size": "auto"}, r"--size is auto, but .* was prepared with 40x32"),
        ({"split": SplitSettings(train_fraction=0.7)}, "an update keeps its split"),
        ({"split": SplitSettings(file=tmp_path / "x.csv")}, "an update keeps its split"),
    ):
        with pytest.raises(SettingsError, match=message):
            update("folder", source, prepared, **options)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="layout is mvtec"):
        update("mvtec", source, prepared)
    update("folder", source, prepared, size="40x32", split=SplitSettings(0.5, 0))
    with pytest.raises(DataError, match="is not a prepared data set"):
        update("folder", source, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_split_of_the_data_sets_own_decides_for_new_images(tmp_path: Path) -> None:
    source = make_mvtec(tmp_path / "bottle")
    split = SplitSettings(train_defects=2)
    prepare("mvtec", source, tmp_path / "p", width=32, height=32, split=split)
    rows = by_source(tmp_path / "p")
    save(source / "train/good/100.png", surface(901, 48, 40))
    save(source / "test/good/100.png", surface(902, 48, 40))
    shutil.copy(source / "train/good/000.png", source / "test/good/101.png")
    summary = update("mvtec", source, tmp_path / "p")
    now = by_source(tmp_path / "p")
    assert {name: now[name] for name in rows} == rows
    assert now["train/good/100.png"].split == "train"
    assert now["test/good/100.png"].split == "test"
    assert summary.dropped_copies == ["test/good/101.png"]  # of a training image that stays
    for side in ("train", "test"):
        shutil.rmtree(source / side)
    make_folder(source)
    with pytest.raises((DataError, SettingsError)):
        update("folder", source, tmp_path / "p")


def test_a_split_file_has_to_name_new_groups_and_cannot_move_old_ones(tmp_path: Path) -> None:
    source, path = make_kolektorsdd(tmp_path / "k", n_commutators=4), tmp_path / "split.csv"
    lines = ["group,split", "kos01,train", "kos02,test", "kos03,train", "kos04,test"]
    path.write_text("\n".join(lines))
    split = SplitSettings(file=path)
    prepare("kolektorsdd", source, tmp_path / "p", width=32, height=48, split=split)
    save(source / "kos05/Part0.jpg", surface(901, 50, 126)[..., 0])
    save(source / "kos05/Part0_label.bmp", np.zeros((126, 50), np.uint8))
    with pytest.raises(SettingsError, match="Give it again with --split-file"):
        update("kolektorsdd", source, tmp_path / "p")
    with pytest.raises(DataError, match="1 groups belong: kos05"):
        update("kolektorsdd", source, tmp_path / "p", split=split)
    path.write_text("\n".join([*lines, "kos05,test"]).replace("kos01,train", "kos01,test"))
    with pytest.raises(DataError, match="kos01 in test, but the folder has"):
        update("kolektorsdd", source, tmp_path / "p", split=split)
    path.write_text("\n".join([*lines, "kos05,test"]))
    update("kolektorsdd", source, tmp_path / "p", split=split)
    assert by_source(tmp_path / "p")["kos05/Part0.jpg"].split == "test"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("after", [0, 1, 3, 5, 7])
def test_an_interrupted_update_leaves_what_was_there(
    source: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, error: Any, after: int
) -> None:
    from patchcore_dual.data.prepare import commit

    augment(prepared)
    before = files(prepared)
    for number in range(3):
        save(source / f"good/x{number}.png", surface(801 + number, 40, 30))
    mask = np.zeros((30, 40), np.uint8)
    mask[10:20, 10:20] = 255
    save(source / "masks/scratch/2_mask.png", mask)
    moves = []

    class Os:
        @staticmethod
        def replace(old: Path, new: Path) -> None:
            moves.append(new)
            if len(moves) == after + 1:
                raise error
            shutil.move(old, new)

    monkeypatch.setattr(commit, "os", Os)
    with pytest.raises((KeyboardInterrupt, DataError)):
        update("folder", source, prepared)
    assert len(moves) > after
    assert files(prepared) == before
    assert not list(prepared.parent.glob(".*"))
    monkeypatch.undo()
    update("folder", source, prepared)
    assert len(by_source(prepared)) == 19


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are copies of this one")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("stage", range(1, 14))
def test_an_update_killed_at_any_stage_leaves_a_folder_that_can_be_used_and_updated(
    source: Path, prepared: Path, stage: int
) -> None:
    for number in range(3):
        save(source / f"good/x{number}.png", surface(801 + number, 40, 30))
    mask = np.zeros((30, 40), np.uint8)
    mask[10:20, 10:20] = 255
    save(source / "masks/scratch/2_mask.png", mask)  # in place of another
    (source / "scratch/3.png").rename(source / "good/3x.png")  # found to be normal
    (source / "masks/scratch/3_mask.png").unlink()
    clean = prepared.with_name("clean")
    shutil.copytree(prepared, clean)
    if (child := os.fork()) == 0:
        real, moves = os.replace, []

        def replace(old: Path, new: Path) -> None:
            moves.append(new)
            if len(moves) == stage:
                os._exit(9)  # like a kill: nothing is tidied up
            real(old, new)

        os.replace = replace
        update("folder", source, prepared)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    manifest = Manifest.load(prepared)
    for sample in manifest:
        read_image(manifest.image_path(sample))
        assert not sample.mask or read_mask(prepared / sample.mask).any() == sample.is_defective
    update("folder", source, clean)
    after = update("folder", source, prepared)
    assert Manifest.load(prepared).real().samples == Manifest.load(clean).real().samples
    there, wanted = files(prepared), files(clean)
    for name in wanted.keys() - {PREPARATION_NAME}:
        assert there[name] == wanted[name]
    # A former mask may be kept twice, and a file that was being written may be left, hidden.
    more = {Path(name).name for name in there.keys() - wanted.keys()}
    assert not {name for name in more if "-previous" not in name and name[0] != "."}
    assert after.n_crops == len(list(clean.glob("*/crops/*.png")))
    assert not list(prepared.parent.glob(".*"))


def test_synthetic_images_that_are_enrolled_meanwhile_stay(source: Path, prepared: Path) -> None:
    def meanwhile(stage: str, done: int, total: int) -> None:
        if stage == "writing images" and done == 1:
            augment(prepared, 3, "during")

    for number in range(3):
        save(source / f"good/x{number}.png", surface(801 + number, 40, 30))
    update("folder", source, prepared, progress=meanwhile)
    assert len(Manifest.load(prepared).synthetic()) == 3
    assert len(by_source(prepared)) == 19


def test_unreadable_images_are_skipped_or_named_and_known_ones_stay(
    source: Path, prepared: Path
) -> None:
    for name in ("good/1.png", "good/new.png"):
        (source / name).write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"2 problems:(.|\n)*good/1\.png(.|\n)*good/new\.png"):
        update("folder", source, prepared)
    summary = update("folder", source, prepared, skip_unreadable=True)
    assert sorted(summary.skipped) == ["good/1.png", "good/new.png"]
    assert "good/1.png" in by_source(prepared)
    notes = " ".join(summary.notes)
    assert "1 images cannot be read any more, and stay as they were prepared: good/1.png." in notes
    assert "not in the data set any more" not in notes
