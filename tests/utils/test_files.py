"""A file is written whole or not at all."""

import os
from pathlib import Path

import pytest

from patchcore_dual.errors import DataError
from patchcore_dual.utils.files import write_atomically


def test_it_is_written_and_replaced_with_ordinary_permissions(tmp_path: Path) -> None:
    path, ordinary = tmp_path / "a.bin", tmp_path / "b.bin"
    ordinary.touch()
    for data in (b"first", b""):
        write_atomically(path, data)
        assert path.read_bytes() == data
        assert path.stat().st_mode == ordinary.stat().st_mode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "b.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_failure_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "replace", fail)
    expected = DataError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot write into .*none: No such file"):
        write_atomically(tmp_path / "none/a.bin", b"")
