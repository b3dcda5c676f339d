"""A checkpoint of fitting: whole images or nothing, of one plan."""

import json
from pathlib import Path

import numpy as np
import pytest

from patchcore_dual.errors import DataError
from patchcore_dual.scoring import Evidence
from patchcore_dual.scoring.evidence import Nearest
from patchcore_dual.training.checkpoint import FitCheckpoint, RowFile
from patchcore_dual.training.evidence_cache import EvidenceCache
from patchcore_dual.utils.checkpoint import JOURNAL_NAME, Checkpoint

IMAGES = [np.arange(6.0).reshape(3, 2), np.zeros((0, 2)), np.full((2, 2), 7.0)]


def opened(folder):
    """The rows in a checkpoint, opened as the next run does."""
    return RowFile(Checkpoint(folder, {}, other_plan="discard"), "rows", np.float32, 2)


@pytest.fixture
def file(tmp_path):
    rows = opened(tmp_path / "work")
    for image in IMAGES:
        rows.append(image)
    return tmp_path / "work" / "rows"


def test_rows_come_back(file):
    rows = opened(file.parent)
    assert rows.counts == [3, 0, 2]
    np.testing.assert_array_equal(rows.read(), np.concatenate(IMAGES))
    mapped = rows.read(in_memory=False)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, np.concatenate(IMAGES))


@pytest.mark.parametrize("cut", range(0, 41))
def test_a_file_cut_anywhere_keeps_its_whole_images(file, cut):
    file.write_bytes(file.read_bytes()[:cut])
    rows = opened(file.parent)
    assert rows.counts == [3, 0, 2][: 0 if cut < 24 else 2 if cut < 40 else 3]
    for image in IMAGES[len(rows.counts) :]:
        rows.append(image)
    again = opened(file.parent)
    assert again.counts == [3, 0, 2]
    np.testing.assert_array_equal(again.read(), np.concatenate(IMAGES))


@pytest.mark.parametrize("cut", range(0, 200, 3))
def test_a_journal_cut_anywhere_does_too(file, cut):
    journal = file.with_name(JOURNAL_NAME)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:cut])
    rows = opened(file.parent)
    assert len(rows.counts) == whole[:cut].count(b"\n")
    for image in IMAGES[len(rows.counts) :]:
        rows.append(image)
    again = opened(file.parent)
    assert again.counts == [3, 0, 2]
    np.testing.assert_array_equal(again.read(), np.concatenate(IMAGES))


def test_files_of_one_checkpoint_are_cut_back_by_themselves(tmp_path):
    work = Checkpoint(tmp_path / "work", {}, other_plan="discard")
    both = [RowFile(work, name, np.float32, 2) for name in ("one", "two")]
    for image in IMAGES:
        for rows in both:
            rows.append(image)
    path = tmp_path / "work" / "one"
    path.write_bytes(path.read_bytes()[:-1])
    work = Checkpoint(tmp_path / "work", {}, other_plan="discard")
    assert RowFile(work, "one", np.float32, 2).counts == [3, 0]
    assert RowFile(work, "two", np.float32, 2).counts == [3, 0, 2]


def test_damage_drops_what_follows(file):
    content = bytearray(file.read_bytes())
    content[30] ^= 1
    file.write_bytes(content)
    assert opened(file.parent).counts == [3, 0]


def test_another_plan_discards(tmp_path):
    first = FitCheckpoint(tmp_path / "p", {"plan": "a"})
    assert not first.resumes
    made = []

    def make():
        made.append(1)
        return {"x": np.arange(3)}

    first.arrays("x", make)
    again = FitCheckpoint(tmp_path / "p", {"plan": "a"})
    assert again.resumes
    np.testing.assert_array_equal(again.arrays("x", make)["x"], np.arange(3))
    assert len(made) == 1
    other = FitCheckpoint(tmp_path / "p", {"plan": "b"})
    assert not other.resumes
    other.arrays("x", make)
    assert len(made) == 2
    other.remove()
    assert not (tmp_path / "p").exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write into"):
        FitCheckpoint(tmp_path / "file" / "p", {})


def test_evidence_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    evidence = {
        name: Evidence(
            Nearest(rng.random((h, 3)).astype(np.float32), rng.integers(0, 9, (h, 3)), rng.random())
        )
        for name, h in (("b", 2), ("a", 4))
    }
    names = ("a", "b", "c")

    def cache():
        work = Checkpoint(tmp_path / "work", {}, other_plan="discard")
        return EvidenceCache(names, RowFile(work, "evidence", np.float64, 2))

    cache().update(evidence)
    again = cache()
    assert set(again) == {"a", "b"}
    for name, one in evidence.items():
        assert again[name].normal.weight == one.normal.weight
        np.testing.assert_array_equal(again[name].normal.distance, one.normal.distance)
        np.testing.assert_array_equal(again[name].normal.index, one.normal.index)
        assert again[name].normal.distance.dtype == np.float32


def test_zeros_at_the_end_of_a_journal_are_no_images(file):
    """As a power cut may leave them."""
    with file.with_name(JOURNAL_NAME).open("ab") as journal:
        journal.write(bytes(32) + b"\n" + bytes(32))
    assert opened(file.parent).counts == [3, 0, 2]


def test_a_journal_of_two_runs_at_once_keeps_each_image_once(file):
    journal = file.with_name(JOURNAL_NAME)
    first, *others = journal.read_bytes().splitlines(keepends=True)
    content = file.read_bytes()
    journal.write_bytes(b"".join([first, first, *others]))
    file.write_bytes(content[:24] + content)
    rows = opened(file.parent)
    assert rows.counts == [3]
    np.testing.assert_array_equal(rows.read(), IMAGES[0])


@pytest.mark.parametrize(
    "entry",
    [{}, {"file": "rows"}, {"file": "rows", "image": 3, "rows": -1, "checksum": 1}]
    + [{"file": "rows", "image": 3, "rows": rows, "checksum": 1} for rows in (10**15, "3", None)],
)
def test_an_entry_that_makes_no_sense_is_no_image(file, entry):
    with file.with_name(JOURNAL_NAME).open("a") as journal:
        journal.write(json.dumps(entry) + "\n")
    rows = opened(file.parent)
    assert rows.counts == [3, 0, 2]
    rows.append(np.ones((1, 2)))
    assert opened(file.parent).counts == [3, 0, 2, 1]


def test_images_with_another_number_of_rows_are_dropped(file):
    rows = opened(file.parent)
    rows.check([3, 0, 2, 9])
    assert rows.counts == [3, 0, 2]
    rows.check([3, 1, 2])
    assert rows.counts == [3]
    assert opened(file.parent).counts == [3]


@pytest.mark.parametrize("other", [{"y": np.arange(3)}, {"x": np.arange(4)}, {}])
def test_arrays_of_another_kind_are_made_again(tmp_path, other):
    kept = FitCheckpoint(tmp_path / "p", {"plan": "a"})
    np.savez(tmp_path / "p" / "x.npz", **other)
    made = kept.arrays("x", lambda: {"x": np.arange(3)}, lambda arrays: arrays["x"].shape == (3,))
    assert made["x"].tolist() == [0, 1, 2]


def test_damaged_arrays_are_made_again(tmp_path):
    kept = FitCheckpoint(tmp_path / "p", {"plan": "a"})
    kept.arrays("x", lambda: {"x": np.arange(3)})
    for content in (b"", b"nothing", (tmp_path / "p/x.npz").read_bytes()[:50]):
        (tmp_path / "p/x.npz").write_bytes(content)
        assert kept.arrays("x", lambda: {"x": np.arange(4)})["x"].tolist() == [0, 1, 2, 3]


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="left alone"):
        FitCheckpoint(tmp_path, {})
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told(file):
    rows = opened(file.parent)
    file.unlink()
    file.symlink_to("/dev/full")
    with pytest.raises(DataError, match="No space left"):
        rows.append(np.ones((2, 2)))
