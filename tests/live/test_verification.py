"""Whatever is altered in a model folder is found; what was only cut short is not taken for it."""

import json
import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.conftest import change, with_note, with_vectors
from patchcore_dual.errors import ModelError
from patchcore_dual.live import prune, tag, undo, verify
from patchcore_dual.model import load_model, read_fingerprint
from patchcore_dual.model.schema import MODEL_FILE
from patchcore_dual.model.versions import history


@pytest.fixture(scope="module")
def lived(small, tmp_path_factory):
    """A model of eight versions, of which the last two change nothing in `model.json`."""
    folder = shutil.copytree(small, tmp_path_factory.mktemp("lived") / "model")
    change(folder, with_note, 1, by="Anna", why="missed twice")
    change(folder, with_vectors, 1)
    undo(folder)
    change(folder, with_vectors, 2)
    change(folder, with_note, 2)
    undo(folder, 5)
    tag(folder, "approved")
    return folder


@pytest.fixture
def altered(lived, tmp_path):
    return shutil.copytree(lived, tmp_path / "model")


def rewrite(folder, lines):
    (folder / "ledger.jsonl").write_bytes(b"".join(lines))


def test_a_whole_model_has_no_problem(lived, small):
    assert verify(lived) == []
    assert verify(small) == []


@given(data=st.data())
def test_any_other_byte_in_the_ledger_is_found(lived, data):
    path = lived / "ledger.jsonl"
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    try:
        path.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
        assert verify(lived)
        path.write_bytes(whole[:place])
        assert verify(lived)
    finally:
        path.write_bytes(whole)


@given(data=st.data())
def test_lines_that_are_removed_moved_or_repeated_are_found(lived, data):
    path = lived / "ledger.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    others = data.draw(st.lists(st.sampled_from(lines), max_size=len(lines) + 1))
    cut = lines[: data.draw(st.integers(0, len(lines) - 1))]
    try:
        for altered in (others, cut):
            if altered != lines:
                rewrite(lived, altered)
                assert verify(lived)
    finally:
        path.write_bytes(whole)


def test_a_line_that_is_forged_with_its_hashes_is_found_by_a_hash_kept_elsewhere(altered):
    kept = history(altered).head
    assert verify(altered, kept[:12]) == []
    lines = (altered / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    forged = json.loads(lines[-1]) | {"by": "nobody"}
    rewrite(altered, [*lines[:-1], json.dumps(forged).encode() + b"\n"])
    (altered / "versions/head").write_text(history(altered).head)
    assert verify(altered) == []  # whoever can write every file can write it anew
    assert verify(altered, kept) == [f"no line of the ledger has the hash {kept}: it was made anew"]
    assert verify(altered, history(altered).versions[4].previous) == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("model.json", "model.json is not the model that the last line"),
        ("ledger.jsonl", "head has the hash of another line"),
        ("versions/head", "head has the hash of another line"),
        ("versions/{}.json", "versions/.*json is missing"),
        ("normal-*", "normal-.* is missing"),
        ("defect-*", "defect-.* is missing"),
    ],
)
def test_what_is_removed_is_named(altered, name, problem):
    (path, *_) = altered.glob(name.format(history(altered).versions[1].fingerprint))
    path.unlink()
    (found, *_) = verify(altered)
    assert re.search(problem, found)


@pytest.mark.parametrize("pattern", ["versions/*.json", "*-*"])
def test_a_damaged_file_is_named(altered, pattern):
    for path in sorted(altered.glob(pattern)):
        whole = path.read_bytes()
        path.write_bytes(whole + b" ")
        assert any(f"{path.name} is damaged" in problem for problem in verify(altered))
        path.write_bytes(whole)
    assert not verify(altered)


def test_a_model_put_there_by_hand_is_not_changed_but_undo_replaces_it(altered):
    fingerprint = read_fingerprint(altered)
    text = (altered / "model.json").read_text()
    (altered / "model.json").write_text(text.replace('"note": ', '"note":  '))
    for call in (
        lambda: change(altered, with_note, 3),
        lambda: undo(altered),
        lambda: prune(altered),
    ):
        with pytest.raises(ModelError, match=r"is not version 8.* undo .* --to 8"):
            call()
    foreign = read_fingerprint(altered)
    assert verify(altered)
    version = undo(altered, 8)
    assert version.effects == {"to": 8, "replaced": foreign}
    assert read_fingerprint(altered) == fingerprint
    assert not verify(altered)
    (altered / "model.json").unlink()
    assert undo(altered, 2).effects == {"to": 2, "replaced": None}
    assert load_model(altered).trained_on["note"] == 1
    assert not verify(altered)


def test_nothing_is_changed_on_an_altered_ledger(altered):
    lines = (altered / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    for other in (lines[:-1], lines[1:], [], [*lines[:3], b" " + lines[3], *lines[4:]]):
        rewrite(altered, other)
        before = {p: p.read_bytes() for p in altered.rglob("*") if p.is_file()}
        for call in (lambda: undo(altered, 2), lambda: change(altered, with_note, 3)):
            with pytest.raises(ModelError, match="--verify"):
                call()
        assert {p: p.read_bytes() for p in altered.rglob("*") if p.is_file()} == before


def test_what_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="not a model folder"):
        verify(tmp_path)


def test_a_former_model_put_back_by_hand_is_found(model):
    """It is no change that was killed: the head of the ledger is that of the last line."""
    former = (model / MODEL_FILE).read_bytes()
    change(model, with_note, "one")
    (model / MODEL_FILE).write_bytes(former)
    assert "not the model that the last line" in verify(model)[0]
    undo(model, to=2)
    assert not verify(model)
