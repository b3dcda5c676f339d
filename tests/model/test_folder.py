"""The model on disk: what is refused, and what a killed process leaves."""

import functools
import json
import os
import shutil

import pytest
from safetensors.numpy import load

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ModelError
from patchcore_dual.features.networks.efficientnet import packaged_weights
from patchcore_dual.features.weights import read_state_dict
from patchcore_dual.live import verify
from patchcore_dual.model.folder import MODEL_FILE
from patchcore_dual.model.serialised import files_named_in
from patchcore_dual.model.versions import history
from patchcore_dual.utils import files

ROLES = ("network", "graph", "graph_weights", "normal", "defect", "calibration")
EMBEDDER = {
    "backbone": "efficientnet_lite0",
    "levels": [2, 3],
    "level_channels": [40, 112],
    "stride": 8,
    "count_padding": True,
    "weights_sha256": "",
    "precision": "float32",
    "projection_seed": None,
}


@pytest.fixture
def folder(model_folder, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(model_folder, tmp_path / "model")


@pytest.fixture(scope="module")
def newer(prepared):
    """Another model of the same images; only its backbone file is the same."""
    return PatchCoreDual(scoring="ratio", bank_vectors="projected").fit(prepared)


def edit(folder, **values):
    path = folder / MODEL_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def data_files(folder):
    return sorted(folder.glob("*-*"))


def named(folder, name=MODEL_FILE):
    """The data files that `model.json` names, or the text of a version."""
    return files_named_in((folder / name).read_bytes())


def test_it_is_what_the_architecture_promises(folder, detector):
    names = {p.name for p in folder.iterdir()}
    values = json.loads((folder / MODEL_FILE).read_text())
    assert names == {MODEL_FILE, *(name for role in values["files"].values() for name in role)}
    assert set(values["files"]) == set(ROLES)
    assert values["schema_version"] == 8
    assert values["embedder"]["weights_sha256"] == detector.embedder.spec.weights_sha256
    assert values["trained_on"]["normal_images"] == 6
    assert values["trained_on"]["defective_images"] == 3
    assert values["size"] == [64, 96]
    umask = os.umask(0)
    os.umask(umask)
    assert (folder / MODEL_FILE).stat().st_mode & 0o777 == 0o666 & ~umask


def test_missing(tmp_path):
    for nothing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ModelError, match=r"is not a model folder: it has no model\.json"):
            PatchCoreDual.load(nothing)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\x00\x01"])
def test_not_a_json_object(folder, text):
    (folder / MODEL_FILE).write_text(text)
    with pytest.raises(ModelError, match="is damaged: it is not JSON of a model"):
        PatchCoreDual.load(folder)


@pytest.mark.parametrize("version", [0, 1, 9, 99, None, "2.0"])
def test_another_schema_version(folder, version):
    edit(folder, schema_version=version)
    with pytest.raises(
        ModelError, match=f"of schema version {version}; this program reads versions 2 to 8"
    ):
        PatchCoreDual.load(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"settings": {"normal_rate": 7}},
        {"settings": None},
        {"rule": "none of ours"},
        {"rule_constants": {"unknown": 1}},
        {"thresholds": {}},
        {"thresholds": {"image": 3, "pixel": 1, "map_floor": 0}},
        {"embedder": {"backbone": "efficientnet_lite0"}},
        {"embedder": EMBEDDER | {"backbone": "vgg"}},
        {"embedder": EMBEDDER | {"levels": []}},
        {"embedder": EMBEDDER | {"levels": [3, 2]}},
        {"sources": {}},
        {"files": {}},
        {"added": 1},
        {"size": [64]},
    ],
)
def test_a_damaged_entry_is_one_clear_error(folder, values):
    edit(folder, **values)
    with pytest.raises(ModelError, match=str(folder)):
        PatchCoreDual.load(folder)


@pytest.mark.parametrize("role", ROLES)
def test_a_missing_data_file_is_named(folder, role):
    gone = min(folder.glob(f"{role}-*"))
    gone.unlink()
    with pytest.raises(ModelError, match=f"{gone.name} is missing"):
        assert PatchCoreDual.load(folder).model.calibration


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("where", [3, -1])
def test_a_flipped_byte_is_noticed(folder, role, where):
    path = min(folder.glob(f"{role}-*"))
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"{path.name} is damaged"):
        assert PatchCoreDual.load(folder).model.calibration


def test_saving_again_mends_damage(folder, detector):
    for path in data_files(folder):
        path.write_bytes(b"damaged")
    detector.save(folder)
    assert PatchCoreDual.load(folder).fingerprint == detector.fingerprint


def test_the_model_carries_its_network(folder, monkeypatch, detector):
    def forbidden(*_):
        raise AssertionError("no weights are looked for")

    monkeypatch.setattr("patchcore_dual.features.engines.torch_engine.find_weights", forbidden)
    loaded = PatchCoreDual.load(folder)
    whole = read_state_dict(packaged_weights("efficientnet_lite0"))
    assert set(load(loaded.embedder.network)) == set(load(detector.embedder.network)) < set(whole)


def test_a_foreign_folder_is_refused(tmp_path, detector):
    (tmp_path / "photo.png").touch()
    with pytest.raises(ModelError, match="exists and is not a model folder"):
        detector.save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]
    file = tmp_path / "photo.png"
    with pytest.raises(ModelError, match="exists and is not a model folder"):
        detector.save(file)
    with pytest.raises(ModelError, match="cannot make the model folder"):
        detector.save(file / "below")


def test_a_model_is_not_replaced_without_being_asked(folder, detector, newer):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(ModelError, match=r"already holds a model, of 20\d\d-.* undo "):
        newer.save(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
    assert detector.save(folder) is None  # the same model


def test_every_model_that_is_replaced_stays_as_a_version(folder, detector, newer):
    assert newer.save(folder, overwrite=True).number == 1
    assert detector.save(folder, overwrite=True).number == 2
    assert newer.save(folder, overwrite=True).number == 3
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
    versions = [folder, *(folder.with_name(f"model@{number}") for number in (1, 2, 3, 4))]
    assert [PatchCoreDual.load(one).fingerprint for one in versions] == [
        newer.fingerprint,
        detector.fingerprint,
        newer.fingerprint,
        detector.fingerprint,
        newer.fingerprint,
    ]


def test_a_users_own_files_in_a_model_folder_stay(folder, newer):
    (folder / "notes.txt").write_text("line 3")
    (folder / "own.safetensors").write_bytes(b"mine")
    newer.save(folder, overwrite=True)
    assert (folder / "notes.txt").read_text() == "line 3"
    assert (folder / "own.safetensors").read_bytes() == b"mine"


def test_versions_share_the_files_that_do_not_change(folder, newer):
    before = set(data_files(folder))
    newer.save(folder, overwrite=True)
    added = {p.name.split("-")[0] for p in set(data_files(folder)) - before}
    assert added == {"normal", "defect", "calibration"}
    assert before < set(data_files(folder))


def test_what_nothing_names_goes(folder, detector):
    for name in (f"normal-{'0' * 64}.safetensors", ".model.json.abc", ".ledger.jsonl.abc"):
        (folder / name).write_bytes(b"left by a killed process")
    detector.save(folder)
    assert {p.name for p in folder.iterdir()} == {MODEL_FILE, *named(folder)}


def test_an_error_while_writing_leaves_the_old_model(folder, newer, detector, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(Exception, match=r"cannot write .*No space left on device"):
        newer.save(folder, overwrite=True)
    monkeypatch.undo()
    assert PatchCoreDual.load(folder).fingerprint == detector.fingerprint
    assert not list(folder.glob(".*"))


def killed_at(step, save, folder):
    """Run `save(folder)` in a child that dies at its n-th dealing with the disk.

    True where it died, False where it got to its end before.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    remaining = step

    def dying(function):
        def call(*arguments, **options):
            nonlocal remaining
            remaining -= 1
            if remaining == 0:
                if function is real_fsync:  # killed while the file was only half on disk
                    os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
                os._exit(9)
            return function(*arguments, **options)

        return call

    try:
        real_fsync = os.fsync
        for name in ("fsync", "replace", "unlink", "mkdir", "chmod"):
            setattr(os, name, dying(getattr(os, name)))
        save(folder)
        os._exit(0)
    except BaseException:
        os._exit(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
def test_killed_at_any_step_the_old_model_or_the_new_one_loads(folder, detector, newer, tmp_path):
    loaded = []
    for step in range(1, 100):
        copy = shutil.copytree(folder, tmp_path / f"{step}")
        died = killed_at(step, functools.partial(newer.save, overwrite=True), copy)
        loaded.append(PatchCoreDual.load(copy).fingerprint)
        newer.save(copy, overwrite=True)  # completes it, or clears up what was left
        assert not verify(copy)
        assert [v.action for v in history(copy).versions] == ["fit", "fit"]
        kept = {name for text in (copy / "versions").glob("*.json") for name in named(copy, text)}
        assert {p.name for p in data_files(copy)} == kept
        assert not list(copy.rglob(".*"))
        assert PatchCoreDual.load(copy).fingerprint == newer.fingerprint
        shutil.rmtree(copy)
        if not died:
            break
    # Three data files, the texts of two versions, ledger, head and model.json are each flushed,
    # given their rights and put in place.
    assert len(loaded) >= 8 * 3
    changed = loaded.index(newer.fingerprint)
    assert 8 * 3 <= changed < len(loaded)
    assert loaded == [detector.fingerprint] * changed + [newer.fingerprint] * (
        len(loaded) - changed
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
def test_killed_in_the_first_save_there_is_no_model_and_saving_again_works(detector, tmp_path):
    for step in range(1, 100):
        folder = tmp_path / f"{step}"
        died = killed_at(step, detector.save, folder)
        if died:
            with pytest.raises(ModelError, match="is not a model folder"):
                PatchCoreDual.load(folder)
        detector.save(folder)
        assert {p.name for p in folder.iterdir()} == {MODEL_FILE, *named(folder)}
        assert PatchCoreDual.load(folder).fingerprint == detector.fingerprint
        shutil.rmtree(folder)
        if not died:
            break
    assert step >= 5 * 3


def test_a_model_that_does_not_align_has_no_word_of_it(model_folder):
    """So that its fingerprint is what it was before there was alignment."""
    stored = json.loads((model_folder / MODEL_FILE).read_text())
    assert "alignment" not in stored
    assert "reference" not in stored["files"]
    assert PatchCoreDual.load(model_folder).model.aligner is None
