"""Versions of a model: random sequences of changes against a simple account of them."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.conftest import change, with_note, with_vectors, without_image
from patchcore_dual.errors import DataError, ModelError, SettingsError
from patchcore_dual.live import TaughtImage, prune, tag, undo, untag, verify
from patchcore_dual.live.changes import prunable
from patchcore_dual.model import load_model, load_with_fingerprint, read_fingerprint
from patchcore_dual.model.serialised import files_named_in
from patchcore_dual.model.versions import history, version_in_place


class Account:
    """What a model folder should hold: the obvious lists, which every change goes through."""

    def __init__(self, fingerprint):
        self.fingerprints = [fingerprint]  # of each version
        self.made_by = [0]  # the change that made each version's model
        self.parent = {0: None}
        self.tags, self.pruned = {}, set()

    @property
    def current(self):
        return self.fingerprints[-1]

    def changed(self, fingerprint):
        if fingerprint != self.current:
            self.parent[len(self.fingerprints)] = self.made_by[-1]
            self._append(fingerprint, len(self.fingerprints))

    def undone(self, to):
        """Whether it can be undone."""
        to = self.parent[self.made_by[-1]] if to is None else to
        if to is None or self.fingerprints[to] in self.pruned:
            return False
        if self.fingerprints[to] != self.current:
            self._append(self.fingerprints[to], self.made_by[to])
        return True

    def tagged(self, name, number):
        number = self.made_by[number]
        if self.fingerprints[number] in self.pruned:
            return False
        if self.tags.get(name) != number:
            self._append(self.current, self.made_by[-1])
            self.tags[name] = number
        return True

    def untagged(self, name):
        if name not in self.tags:
            return False
        self._append(self.current, self.made_by[-1])
        del self.tags[name]
        return True

    def was_pruned(self, keep):
        there = [f for f in self.fingerprints if f not in self.pruned]
        kept = []
        for one in reversed(there):
            if one not in kept and len(kept) < keep:
                kept.append(one)
        kept += [self.fingerprints[n] for n in self.tags.values()]
        if removed := set(there) - set(kept):
            self._append(self.current, self.made_by[-1])
            self.pruned |= removed

    def _append(self, fingerprint, made_by):
        self.fingerprints.append(fingerprint)
        self.made_by.append(made_by)
        self.pruned.discard(fingerprint)


SHARE = st.floats(0, 1, exclude_max=True)
NAME = st.sampled_from(["approved", "before-holiday"])
STEP = st.one_of(
    st.tuples(st.just("note"), st.integers(0, 2)),
    st.tuples(st.just("vectors"), st.integers(0, 2)),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.just("undo"), st.none() | SHARE),
    st.tuples(st.just("tag"), NAME, SHARE),
    st.tuples(st.just("untag"), NAME),
    st.tuples(st.just("prune"), st.integers(1, 4)),
)


def follow(folder, account, action, *rest):
    """Make one change of the folder and of the account, which have to agree on errors."""
    number = None
    if action in ("undo", "tag") and rest[-1] is not None:
        number = int(rest[-1] * len(account.fingerprints))
    on_disk = None if number is None else number + 1
    calls = {
        "undo": (lambda: account.undone(number), lambda: undo(folder, on_disk)),
        "tag": (lambda: account.tagged(rest[0], number), lambda: tag(folder, rest[0], on_disk)),
        "untag": (lambda: account.untagged(rest[0]), lambda: untag(folder, rest[0])),
    }
    if action in calls:
        expected, call = calls[action]
        if expected():
            call()
        else:
            with pytest.raises(ModelError):
                call()
    elif action == "prune":
        account.was_pruned(rest[0])
        prune(folder, rest[0])
    else:
        changed = {"note": with_note, "vectors": with_vectors, "remove": without_image}[action]
        before = load_model(folder)
        change(folder, changed, *rest)
        expected, bank = changed(before, *rest).defect_bank, load_model(folder).defect_bank
        np.testing.assert_array_equal(bank.vectors, expected.vectors)
        np.testing.assert_array_equal(bank.image, expected.image)
        assert bank.sources == expected.sources
        account.changed(read_fingerprint(folder))


@settings(max_examples=40)
@given(steps=st.lists(STEP, max_size=12))
def test_any_sequence_of_changes_leaves_what_it_should(small, steps):
    with tempfile.TemporaryDirectory() as temporary:
        folder = shutil.copytree(small, Path(temporary, "model"))
        account = Account(read_fingerprint(folder))
        for step in steps:
            follow(folder, account, *step)
            ledger = history(folder)
            assert [v.fingerprint for v in ledger.versions] == account.fingerprints
            assert load_with_fingerprint(folder)[1] == account.current
            assert ledger.tags == {name: n + 1 for name, n in account.tags.items()}
            assert ledger.pruned == account.pruned
        assert not verify(folder)
        for number, fingerprint in enumerate(account.fingerprints, 1):
            path = folder.with_name(f"model@{number}")
            if fingerprint in account.pruned:
                with pytest.raises(ModelError, match="was removed by prune"):
                    load_model(path)
            else:
                assert load_with_fingerprint(path)[1] == fingerprint
        texts = [p.read_bytes() for p in [*folder.glob("versions/*.json"), folder / "model.json"]]
        named = {name for text in texts for name in files_named_in(text)}
        assert {p.name for p in folder.glob("*-*")} == named


def test_each_of_50_changes_is_undone_to_the_same_bytes(model):
    random = np.random.default_rng(0)
    for number in range(50):
        before = (model / "model.json").read_bytes()
        changed = with_vectors if random.random() < 0.5 else with_note
        change(model, changed, number)
        assert (model / "model.json").read_bytes() != before
        undo(model)
        assert (model / "model.json").read_bytes() == before
        if random.random() < 0.5:  # so that not all start from the same model
            undo(model, version_in_place(model).number - 1)
    assert not verify(model)


def test_undo_after_undo_goes_further_back_and_a_number_goes_anywhere(model):
    fitted = read_fingerprint(model)
    first, second = (change(model, with_note, note).fingerprint for note in (1, 2))
    assert undo(model).fingerprint == first
    assert undo(model).fingerprint == fitted
    with pytest.raises(ModelError, match="nothing to undo"):
        undo(model)
    assert undo(model, 3).fingerprint == second  # forward
    assert undo(model).fingerprint == first  # as if nothing had been undone before
    third = change(model, with_note, 3).fingerprint
    assert undo(model).fingerprint == first
    assert undo(model, 8).fingerprint == third
    assert [v.action for v in history(model).versions].count("undo") == 6


def test_a_version_costs_what_it_adds(model):
    sizes = {p.name: p.stat().st_size for p in model.glob("*-*")}
    bank = load_model(model).defect_bank
    change(model, with_vectors, 1)
    (added,) = (p for p in model.glob("*-*") if p.name not in sizes)
    assert added.name.startswith("defect-")
    assert added.stat().st_size < 3 * (bank.vectors.shape[1] + 3) * 4 + 300
    change(model, with_vectors, 2)
    grown = load_model(model)
    assert grown.segments["defect"] == (len(bank), 3, 3)
    np.testing.assert_array_equal(grown.defect_bank.vectors[: len(bank)], bank.vectors)
    assert grown.defect_bank.sources == (*bank.sources, "taught/1.png", "taught/2.png")
    assert grown.defect_bank.source(len(bank) + 4) == ("taught/2.png", 0, 0)


def test_a_line_says_who_when_what_and_why(model):
    image = TaughtImage("new/ä\udc80.png", "ab" * 32, "defect", "scratch")
    effects = {"recall": [0.5, 0.75], "patches": 3}
    version = change(
        model, with_note, 1, images=(image,), by="Anna", why="missed twice", effects=effects
    )
    first, read = history(model).versions
    assert read.model_dump() | {"images": ()} == version.model_dump() | {"images": ()}
    assert read.images[0].name == "new/ä\\udc80.png"  # a file name that is no text
    assert (read.by, read.why, read.effects) == ("Anna", "missed twice", effects)
    assert (first.action, first.number, first.before) == ("fit", 1, None)
    assert first.effects["normal_images"] == 6
    assert change(model, with_note, 2).by  # the user of the system


def test_what_changes_nothing_is_no_version(model):
    change(model, with_note, 1)
    assert change(model, with_note, 1).number == 2
    assert tag(model, "approved").number == tag(model, "approved").number == 3
    assert undo(model, 2).number == 3
    assert not prune(model).removed


def test_a_tag_protects_from_prune_and_names_a_version(model):
    for note in range(5):
        change(model, with_note, note)
    tag(model, "approved", 2)
    assert [v.number for v in prunable(history(model), 2)] == [1, 3, 4]
    assert prune(model, 2).removed == (1, 3, 4)
    assert load_model(model.with_name("model@approved")).trained_on["note"] == 0
    with pytest.raises(ModelError, match=r"version 4 of .* was removed by prune"):
        undo(model, 4)
    untag(model, "approved")
    pruned = prune(model, 1)
    assert (pruned.removed, pruned.freed > 0) == ((2, 5), True)
    assert [p.stem for p in model.glob("versions/*.json")] == [read_fingerprint(model)]
    assert not verify(model)


@pytest.mark.parametrize("name", ["", "3", "a b", "../x", "-x", "x" * 65, "a@b"])
def test_what_is_no_tag(model, name):
    with pytest.raises(SettingsError, match="cannot be a tag"):
        tag(model, name)


def test_versions_that_are_not_there(model):
    for which in ("0", "2", "approved", "1.5"):
        with pytest.raises(ModelError, match=f"no version {which}: it has versions 1 to 1"):
            load_model(model.with_name(f"model@{which}"))
    assert load_with_fingerprint(model.with_name("model@1"))[1] == read_fingerprint(model)
    with pytest.raises(ModelError, match="not a model folder"):
        undo(model.parent)
    with pytest.raises(SettingsError, match="--keep is 0"):
        prune(model, 0)


def test_a_folder_that_cannot_be_written(model, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    before = {p.name for p in model.parent.rglob("*")}
    with pytest.raises(ModelError, match=r"cannot be changed: .* is not writable"):
        change(model, with_note, 1)
    assert {p.name for p in model.parent.rglob("*")} == before


@pytest.mark.parametrize("fails", range(1, 6))
def test_a_full_disk_leaves_the_version_before_and_nothing_else(model, monkeypatch, fails):
    change(model, with_note, 1)
    before = {p.name: p.read_bytes() for p in model.rglob("*") if p.is_file()}
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == fails:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("patchcore_dual.utils.files.os.fsync", full)
    with pytest.raises(DataError, match=r"cannot write .*: No space left on device"):
        change(model, with_vectors, 1)
    assert {p.name: p.read_bytes() for p in model.rglob("*") if p.is_file()} == before
