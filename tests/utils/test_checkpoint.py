"""`Checkpoint`: every finished item is there again, whatever was cut off behind it."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.errors import DataError
from patchcore_dual.utils.checkpoint import JOURNAL_NAME, PLAN_NAME, Checkpoint

PLAN = {"seed": 0, "images": ["a.png", "b.png"]}


def test_finished_items_are_there_again(tmp_path):
    first = Checkpoint(tmp_path / "work", PLAN)
    assert not first.resumes
    for item in range(3):
        first.record({"item": item})
    again = Checkpoint(tmp_path / "work", PLAN)
    assert again.resumes
    assert again.entries == [{"item": 0}, {"item": 1}, {"item": 2}]


@given(cut=st.integers(min_value=0, max_value=200))
def test_a_journal_cut_anywhere_keeps_every_whole_line(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut") / "work"
    work = Checkpoint(folder, PLAN)
    for item in range(5):
        work.record({"item": item, "text": "x" * item})
    whole = (folder / JOURNAL_NAME).read_bytes()
    (folder / JOURNAL_NAME).write_bytes(whole[:cut])
    again = Checkpoint(folder, PLAN)
    assert again.entries == [json.loads(line) for line in whole[:cut].split(b"\n")[:-1]]
    again.record({"item": "next"})
    assert Checkpoint(folder, PLAN).entries == again.entries
    assert again.entries[-1] == {"item": "next"}


def test_work_of_another_plan_is_refused_with_the_differences(tmp_path):
    Checkpoint(tmp_path, PLAN).record({"item": 0})
    with pytest.raises(DataError, match=r"seed was 0 and is 1 now.*Another --name"):
        Checkpoint(tmp_path, {**PLAN, "seed": 1}, remedy="Another --name.")
    assert Checkpoint(tmp_path, PLAN).entries == [{"item": 0}]


def test_work_of_another_plan_is_discarded_where_that_is_asked_for(tmp_path):
    Checkpoint(tmp_path, PLAN).record({"item": 0})
    (tmp_path / "0.npy").write_bytes(b"of the old plan")
    (tmp_path / "old").mkdir()
    other = Checkpoint(tmp_path, {"seed": 1}, other_plan="discard")
    assert not other.resumes
    assert sorted(p.name for p in tmp_path.iterdir()) == [JOURNAL_NAME, PLAN_NAME]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"photograph")
    for other_plan in ("refuse", "discard"):
        with pytest.raises(DataError, match="left alone"):
            Checkpoint(tmp_path, PLAN, other_plan=other_plan)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"photograph"


def test_a_damaged_line_is_named_or_ends_what_is_kept(tmp_path):
    work = Checkpoint(tmp_path, PLAN)
    for item in range(3):
        work.record({"item": item})
    lines = (tmp_path / JOURNAL_NAME).read_bytes().split(b"\n")
    lines[1] = b"\0\0\0"
    (tmp_path / JOURNAL_NAME).write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match="line 2: damaged"):
        Checkpoint(tmp_path, PLAN)
    assert Checkpoint(tmp_path, PLAN, other_plan="discard").entries == [{"item": 0}]


def test_a_full_disk_is_a_clear_error(tmp_path, monkeypatch):
    work = Checkpoint(tmp_path / "work", PLAN)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        work.record({"item": 0})
