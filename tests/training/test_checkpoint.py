"""Kept work: whole images or nothing, under one key."""

from pathlib import Path

import numpy as np
import pytest

from patchcore_dual.errors import DataError
from patchcore_dual.scoring import Evidence
from patchcore_dual.scoring.evidence import Nearest
from patchcore_dual.training.checkpoint import FitCheckpoint, StoredRows, key_of
from patchcore_dual.training.evidence_cache import EvidenceCache

IMAGES = [np.arange(6.0).reshape(3, 2), np.zeros((0, 2)), np.full((2, 2), 7.0)]


@pytest.fixture
def file(tmp_path):
    rows = StoredRows(tmp_path / "rows", np.float32, 2)
    for image in IMAGES:
        rows.append(image)
    return tmp_path / "rows"


def test_rows_come_back(file):
    rows = StoredRows(file, np.float32, 2)
    assert rows.counts == [3, 0, 2]
    np.testing.assert_array_equal(rows.read(), np.concatenate(IMAGES))
    mapped = rows.read(in_memory=False)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, np.concatenate(IMAGES))


@pytest.mark.parametrize("cut", range(0, 41))
def test_a_file_cut_anywhere_keeps_its_whole_images(file, cut):
    content = file.read_bytes()
    file.write_bytes(content[:cut])
    rows = StoredRows(file, np.float32, 2)
    assert rows.counts == [3, 0, 2][: 0 if cut < 24 else 2 if cut < 40 else 3]
    for image in IMAGES[len(rows.counts) :]:
        rows.append(image)
    np.testing.assert_array_equal(StoredRows(file, np.float32, 2).read(), np.concatenate(IMAGES))


@pytest.mark.parametrize("cut", range(0, 49))
def test_an_index_cut_anywhere_does_too(file, cut):
    index = file.with_name("rows.index")
    index.write_bytes(index.read_bytes()[:cut])
    rows = StoredRows(file, np.float32, 2)
    assert len(rows.counts) == cut // 16
    for image in IMAGES[len(rows.counts) :]:
        rows.append(image)
    np.testing.assert_array_equal(rows.read(), np.concatenate(IMAGES))


def test_damage_drops_what_follows(file):
    content = bytearray(file.read_bytes())
    content[30] ^= 1
    file.write_bytes(content)
    assert StoredRows(file, np.float32, 2).counts == [3, 0]


def test_another_key_discards(tmp_path):
    first = FitCheckpoint(tmp_path / "p", "a")
    assert not first.resumes
    made = []

    def make():
        made.append(1)
        return {"x": np.arange(3)}

    first.arrays("x", make)
    again = FitCheckpoint(tmp_path / "p", "a")
    assert again.resumes
    np.testing.assert_array_equal(again.arrays("x", make)["x"], np.arange(3))
    assert len(made) == 1
    other = FitCheckpoint(tmp_path / "p", "b")
    assert not other.resumes
    other.arrays("x", make)
    assert len(made) == 2
    other.remove()
    assert not (tmp_path / "p").exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write into"):
        FitCheckpoint(tmp_path / "file" / "p", "a")


def test_the_key_knows_facts_and_content(tmp_path):
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(b"a")
    two.write_bytes(b"b")
    keys = {key_of({"n": 1}, [one]), key_of({"n": 2}, [one]), key_of({"n": 1}, [two])}
    assert len(keys) == 3
    assert key_of({"n": 1}, [one]) in keys
    with pytest.raises(DataError, match="cannot read"):
        key_of({}, [tmp_path / "none"])


def test_evidence_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    evidence = {
        name: Evidence(
            Nearest(rng.random((h, 3)).astype(np.float32), rng.integers(0, 9, (h, 3)), rng.random())
        )
        for name, h in (("b", 2), ("a", 4))
    }
    names = ("a", "b", "c")
    found = EvidenceCache(names, StoredRows(tmp_path / "found", np.float64, 2))
    found.update(evidence)
    again = EvidenceCache(names, StoredRows(tmp_path / "found", np.float64, 2))
    assert set(again) == {"a", "b"}
    for name, one in evidence.items():
        assert again[name].normal.weight == one.normal.weight
        np.testing.assert_array_equal(again[name].normal.distance, one.normal.distance)
        np.testing.assert_array_equal(again[name].normal.index, one.normal.index)
        assert again[name].normal.distance.dtype == np.float32


def test_zeros_at_the_end_of_an_index_are_no_images(file):
    """As a power cut may leave them."""
    with file.with_name("rows.index").open("ab") as index:
        index.write(bytes(32))
    assert StoredRows(file, np.float32, 2).counts == [3, 0, 2]


def test_damaged_arrays_are_made_again(tmp_path):
    kept = FitCheckpoint(tmp_path / "p", "a")
    kept.arrays("x", lambda: {"x": np.arange(3)})
    for content in (b"", b"nothing", (tmp_path / "p/x.npz").read_bytes()[:50]):
        (tmp_path / "p/x.npz").write_bytes(content)
        assert kept.arrays("x", lambda: {"x": np.arange(4)})["x"].tolist() == [0, 1, 2, 3]


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="holds other things"):
        FitCheckpoint(tmp_path, "a")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told(file):
    rows = StoredRows(file, np.float32, 2)
    file.unlink()
    file.symlink_to("/dev/full")
    with pytest.raises(DataError, match="No space left"):
        rows.append(np.ones((2, 2)))
