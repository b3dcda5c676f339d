"""Which files are complete, and what a look finds."""

import os
import subprocess
import time

import pytest

from patchcore_dual.station.watch.arrivals import Arrivals
from patchcore_dual.station.watch.listing import Signature, list_files

ONE, TWO = Signature(10, 100, 100), Signature(20, 100, 100)


def test_a_file_that_grows_is_not_complete_before_it_stands_still():
    arrivals = Arrivals(settle=1.0)
    for now, size in ((0.0, 1), (0.9, 2), (1.8, 3), (2.7, 4)):
        assert arrivals.complete({b"a": Signature(size, 5, 5)}, now) == []
    assert arrivals.complete({b"a": Signature(4, 5, 5)}, 3.6) == []
    assert arrivals.complete({b"a": Signature(4, 5, 5)}, 3.8) == [b"a"]


@pytest.mark.parametrize("changed", [ONE._replace(modified=101), ONE._replace(changed=101)])
def test_a_file_of_its_full_size_that_is_being_filled_is_not_complete(changed):
    arrivals = Arrivals(settle=1.0)
    arrivals.complete({b"a": ONE}, 0.0)
    assert arrivals.complete({b"a": changed}, 1.5) == []


def test_one_look_is_never_enough_unless_files_are_renamed_into_place():
    assert Arrivals(settle=0.1).complete({b"a": ONE}, 1e9) == []
    assert Arrivals(settle=0).complete({b"a": ONE}, 1e9) == [b"a"]


def test_a_file_that_vanished_and_came_again_begins_anew():
    arrivals = Arrivals(settle=1.0)
    arrivals.complete({b"a": ONE}, 0.0)
    arrivals.complete({}, 1.0)
    assert arrivals.complete({b"a": ONE}, 2.0) == []
    assert arrivals.complete({b"a": ONE}, 3.0) == [b"a"]


def test_the_order_is_that_in_which_files_were_written_then_of_their_names():
    arrivals = Arrivals(settle=0)
    images = {b"2.png": TWO, b"10.png": TWO, b"new.png": TWO._replace(modified=101), b"1.png": ONE}
    assert arrivals.complete(images, 0.0) == [b"1.png", b"2.png", b"10.png", b"new.png"]


def test_what_is_done_comes_again_only_when_it_changes():
    arrivals = Arrivals(settle=0)
    arrivals.done(b"a", ONE)
    assert arrivals.complete({b"a": ONE}, 0.0) == []
    assert arrivals.complete({}, 1.0) == []  # a network share that shows nothing for a while
    assert arrivals.complete({b"a": ONE}, 2.0) == []
    assert arrivals.complete({b"a": TWO}, 3.0) == [b"a"]


def test_what_was_put_off_comes_later_or_when_it_changes():
    arrivals = Arrivals(settle=0)
    arrivals.complete({b"a": ONE}, 0.0)
    arrivals.put_off(b"a", until=10.0)
    assert arrivals.complete({b"a": ONE}, 9.0) == []
    assert arrivals.still_for(b"a", 9.0) == 9.0
    assert arrivals.complete({b"a": ONE}, 10.0) == [b"a"]
    arrivals.put_off(b"a", until=20.0)
    assert arrivals.complete({b"a": TWO}, 11.0) == [b"a"]


def test_links_devices_and_hidden_files_are_no_images(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").touch()
    folder = tmp_path / "watched"
    (folder / "monday").mkdir(parents=True)
    (folder / "monday" / "rejected").mkdir()  # only those directly in the folder are the station's
    for name in ("a.png", "monday/b.PNG", "monday/rejected/c.tif", ".hidden.png", "notes.txt"):
        (folder / name).touch()
    for place in ("inspected", "review", "rejected", "unreadable"):
        (folder / place).mkdir()
        (folder / place / "old.png").touch()
    (folder / "link.png").symlink_to(outside / "secret.png")
    (folder / "links").symlink_to(outside)
    (folder / "circle").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    found = list_files(folder)
    assert set(found.images) == {b"a.png", b"monday/b.PNG", b"monday/rejected/c.tif"}
    assert set(found.left_out) == {b"link.png", b"links", b"circle"}
    assert found.others == {b".txt": b"notes.txt"}


def test_folders_in_a_thousand_others_are_left_out(tmp_path):
    (tmp_path / "a.png").touch()
    handle = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("x", dir_fd=handle)
        below = os.open("x", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    found = list_files(tmp_path)
    assert set(found.images) == {b"a.png"}
    assert list(found.left_out.values()) == ["a folder in 32 others"]
    subprocess.run(["rm", "-r", str(tmp_path / "x")], check=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_folders_without_rights_are_named(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    assert list_files(tmp_path).left_out == {b"closed": "it cannot be read: Permission denied"}


def test_a_folder_that_is_away_is_an_error_not_an_empty_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        list_files(tmp_path / "share")


def test_a_look_at_ten_thousand_files_is_cheap(tmp_path):
    for number in range(10_000):
        (tmp_path / f"{number}.png").touch()
    arrivals = Arrivals(settle=1.0)
    images = list_files(tmp_path).images
    for path, signature in images.items():
        arrivals.done(path, signature)
    begun = time.process_time()
    for now in range(3):
        assert arrivals.complete(list_files(tmp_path).images, float(now)) == []
    assert (time.process_time() - begun) / 3 < 0.5  # about 0.06 s
