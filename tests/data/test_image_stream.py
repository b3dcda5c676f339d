"""`ImageStream` gives the images that `images_to_inspect` lists, without a list."""

import tracemalloc
from pathlib import Path, PureWindowsPath

import pytest

from patchcore_dual.data.image_stream import ImageStream, _one_holds_the_other
from patchcore_dual.data.listing import OUTPUT_MARKER
from patchcore_dual.data.to_inspect import images_to_inspect
from patchcore_dual.errors import DataError


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_it_gives_what_is_listed(tmp_path):
    make(
        *(tmp_path, "a.png", "below/b.JPG", "below/deeper/c.tif", "notes.txt", "d.heic"),
        *("Part1.png", "Part1_Mask.png", "alone_mask.png", "x.jpg", "x_gt.png"),
        *("masks/a.png", ".thumbnails/a.png", "@eaDir/a.png", f"made/{OUTPUT_MARKER}"),
        *("made/pass-a.jpg", "prepared/manifest.csv", "prepared/crops/a.png"),
        *("prepared/test/e.png", "elsewhere/crops/f.png"),
    )
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    listed, _ = images_to_inspect([tmp_path])
    stream = ImageStream([tmp_path])
    assert sorted(stream) == sorted(listed)
    assert sorted(stream) == sorted(listed)  # again
    reasons = " ".join(stream.left_out())
    for reason in (
        *("a folder of masks: 1", "the mask of an image: 2", ".heic is not read", "a broken link"),
        *("pictures that inspect wrote: 1", "made by prepare and augment: 1"),
    ):
        assert reason in reasons


def test_links_are_followed_once_and_never_in_a_circle(tmp_path):
    make(tmp_path, "line/cam/a.png", "other/b.png")
    (tmp_path / "line/cam/up").symlink_to(tmp_path / "line")
    (tmp_path / "line/above").symlink_to(tmp_path)
    (tmp_path / "line/other").symlink_to(tmp_path / "other")
    (tmp_path / "line/zother").symlink_to(tmp_path / "other")
    stream = ImageStream([tmp_path / "line"])
    assert sorted(path.name for path in stream) == ["a.png", "b.png"]
    assert "a link to a folder that is read already: 3" in stream.left_out()[0]


def test_a_link_to_another_drive():
    images, drive = PureWindowsPath("C:/images"), PureWindowsPath("D:/")
    assert not _one_holds_the_other(images, drive)
    assert _one_holds_the_other(images, images / "below")
    assert _one_holds_the_other(drive / "a", drive)
    assert not _one_holds_the_other(images, PureWindowsPath("C:/images2"))


def test_what_cannot_be_inspected_is_refused_before_the_first_image(tmp_path):
    make(tmp_path, "good/a.png", "empty/notes.heic", f"made/{OUTPUT_MARKER}", "made/pass-a.jpg")
    for name, message in (
        ("empty", "holds no images to inspect. Left out, .heic is not read"),
        ("made", "holds no images to inspect. Left out, pictures of an earlier inspection"),
        ("made/pass-a.jpg", "among the pictures of an earlier inspection"),
        ("none", "there is no file or folder"),
    ):
        with pytest.raises(DataError, match=message):
            ImageStream([tmp_path / "good", tmp_path / name])


def test_neither_images_nor_reasons_take_memory(tmp_path):
    for i in range(5000):
        (tmp_path / f"{'x' * 100}{i}.png").touch()
    for i in range(200):
        (tmp_path / f"frame.{i}").write_bytes(b"\x89PNG" + bytes(20))
    stream = ImageStream([tmp_path])
    tracemalloc.start()
    assert sum(1 for _ in stream) == 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000
    assert len(stream.left_out()) <= 51


def test_files_named_are_given_in_their_order(tmp_path):
    make(tmp_path, "b.png", "a.png")
    named = [tmp_path / "b.png", tmp_path / "a.png", Path(tmp_path / "b.png")]
    assert list(ImageStream(named)) == named
