"""A staged folder appears whole or not at all, and takes the place of nothing else."""

from functools import partial
from pathlib import Path

import pytest

from patchcore_dual.errors import DataError
from patchcore_dual.utils.staging import check_replaceable, staged_folder

staged = partial(staged_folder, marker="index.html", content="report")


def make(target: Path, text: str, overwrite: bool = False) -> None:
    with staged(target, overwrite=overwrite) as folder:
        (folder / "index.html").write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.*")}


def test_it_is_made_and_replaced_with_nothing_left_beside_it(tmp_path: Path) -> None:
    make(tmp_path / "new/r", "1")
    (tmp_path / "new/r/more.txt").touch()
    make(tmp_path / "new/r", "2", overwrite=True)
    assert contents(tmp_path) == {"new/r/index.html": "2"}


def test_two_at_once_are_one_and_a_clear_error(tmp_path: Path) -> None:
    with staged(tmp_path / "r", overwrite=False) as folder:
        (folder / "index.html").write_text("first")
        with pytest.raises(DataError, match=r"r is in use: another command .*process \d+"):
            make(tmp_path / "r", "second", overwrite=True)
    assert contents(tmp_path) == {"r/index.html": "first"}
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    def fail(target: Path) -> None:
        with staged(target, overwrite=True) as folder:
            (folder / "index.html").write_text("half")
            raise error

    make(tmp_path / "r", "1")
    for target in (tmp_path / "r", tmp_path / "other"):
        with pytest.raises(error):
            fail(target)
        assert contents(tmp_path) == {"r/index.html": "1"}
        assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_an_error_of_the_file_system_is_the_users_kind(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"cannot write .*none/x: No such file"),
        staged(tmp_path / "r", overwrite=False) as folder,
    ):
        (folder / "none/x").write_text("x")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write"):
        make(tmp_path / "file/r", "1")


def test_remains_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    for remains in (".r.partial", ".r.old"):
        (tmp_path / remains).mkdir()
        (tmp_path / remains / "old.txt").touch()
    make(tmp_path / "r", "1")
    make(tmp_path / "r", "2", overwrite=True)
    assert contents(tmp_path) == {"r/index.html": "2"}
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_only_an_empty_folder_or_one_with_the_marker_is_replaced(tmp_path: Path) -> None:
    check = partial(check_replaceable, marker="index.html", content="report")
    check(tmp_path / "none", overwrite=False)
    check(tmp_path, overwrite=False)
    (tmp_path / "index.html").touch()
    check(tmp_path, overwrite=True)
    with pytest.raises(DataError, match=r"already holds a report.*--overwrite"):
        check(tmp_path, overwrite=False)
    with pytest.raises(DataError, match="is a file"):
        check(tmp_path / "index.html", overwrite=True)
    (tmp_path / "index.html").rename(tmp_path / "other.html")
    with pytest.raises(DataError, match="holds no report, so it is left alone"):
        check(tmp_path, overwrite=True)


def test_a_folder_that_a_killed_replacement_had_put_aside_is_brought_back(tmp_path: Path) -> None:
    make(tmp_path / "r", "1")
    (tmp_path / "r").rename(tmp_path / ".r.old")  # between the two steps of a replacement
    with pytest.raises(DataError, match="already holds a report"):
        make(tmp_path / "r", "2")
    assert contents(tmp_path) == {"r/index.html": "1"}
