"""Overwriting a prepared folder deletes nothing that was added to it without being asked to."""

from pathlib import Path
from typing import Any

import pytest

from lookalikes import make_folder
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.additions import AdditionsError
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.errors import DataError
from patchcore_dual.synthesis import GENERATORS
from patchcore_dual.synthesis.runs.run import enrol, run_folder
from patchcore_dual.synthesis.runs.synthesise import synthesise


def small(source: Path, folder: Path, **more: Any) -> Any:
    return prepare("folder", source, folder, width=40, height=32, **more)


def augment(prepared: Path, count: int = 5) -> Path:
    run = run_folder(prepared, "strokes")
    rows = synthesise(Manifest.load(prepared), [GENERATORS["strokes"]()], count, 0, run)
    enrol(prepared, run, rows)
    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "s")


def test_overwriting_names_synthetic_sets_and_reviews_and_asks_for_them(
    source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    small(source, folder)
    run = augment(folder)
    (run / "reject.txt").write_text("0001\n0002\n")
    before = sorted(folder.rglob("*"))
    with pytest.raises(AdditionsError) as caught:
        small(source, folder, overwrite=True)
    assert "5 synthetic images in synthetic/strokes, 2 of them accepted or" in str(caught.value)
    assert "--update" in str(caught.value)
    assert "--delete-additions" in str(caught.value)
    assert sorted(folder.rglob("*")) == before
    small(source, folder, overwrite=True, delete_additions=True)
    assert not run.exists()


def test_overwriting_names_other_files_and_columns_that_were_added(
    source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    small(source, folder)
    for name in ("notes.txt", "model/model.json", "train/negative/mine.png", "synthetic/odd.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    text = (folder / "manifest.csv").read_text().splitlines()
    more = [f"{line},{'camera' if i == 0 else 'c1'}" for i, line in enumerate(text)]
    (folder / "manifest.csv").write_text("\n".join(more) + "\n")
    with pytest.raises(AdditionsError) as caught:
        small(source, folder, overwrite=True)
    for words in (
        "4 files that `prepare` did not make",
        "model/model.json",
        "train/negative/mine.png",
        "columns that were added to manifest.csv: camera",
    ):
        assert words in str(caught.value)


def test_a_folder_with_nothing_added_is_overwritten_as_before(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    small(source, folder)
    (folder / ".DS_Store").touch()
    (source / "good/7.png").unlink()  # an image that is not wanted any more
    assert small(source, folder, overwrite=True).n_images == 15


def test_a_folder_of_another_data_set_is_not_taken_for_an_older_one(
    source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    small(source, folder)
    other = make_folder(tmp_path / "other")
    for kind in ("good", "scratch"):
        for path in list((other / kind).iterdir()):
            path.rename(path.with_name(f"x{path.name}"))
    for path in list((other / "masks/scratch").iterdir()):
        path.rename(path.with_name(f"x{path.name}"))
    with pytest.raises(AdditionsError, match="12 of 16 images whose files are not in this source"):
        small(other, folder, overwrite=True)


def test_photographs_that_moved_within_the_source_are_not_lost(
    source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    small(source, folder)
    (source / "good/monday").mkdir()
    for path in list((source / "good").glob("*.png")):
        path.rename(path.parent / "monday" / path.name)
    assert small(source, folder, overwrite=True).n_images == 16


def test_synthetic_images_made_while_overwriting_stop_it(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    small(source, folder)

    def meanwhile(stage: str, done: int, total: int) -> None:
        if stage == "writing images" and done == 3:
            augment(folder, 2)

    with pytest.raises(AdditionsError, match="2 synthetic images"):
        small(source, folder, overwrite=True, progress=meanwhile)
    assert len(Manifest.load(folder).synthetic()) == 2


def test_a_damaged_manifest_may_be_overwritten(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    small(source, folder)
    (folder / "manifest.csv").write_text("damaged")
    small(source, folder, overwrite=True)
    assert len(Manifest.load(folder)) == 16
    (folder / "manifest.csv").write_text("damaged")
    (folder / "mine.txt").touch()
    with pytest.raises(DataError, match=r"1 files .*mine\.txt"):
        small(source, folder, overwrite=True)
