"""No command ends in a traceback on a full disk, and none leaves what cannot be used."""

import shutil

import pytest

from lookalikes import make_folder, save, surface
from patchcore_dual.data.prepare.preparation import prepare

COMMANDS = {
    "prepare": ("prepare", "folder", "PARTS", "new", "--size", "160x128"),
    "overwrite": ("prepare", "folder", "PARTS", "prepared", "--overwrite", "--size", "160x128"),
    "update": ("prepare", "folder", "MORE", "prepared", "--update"),
    "fit": ("fit", "prepared", "--model", "model2"),
    "refit": ("fit", "prepared", "--model", "model", "--overwrite"),
    "augment": ("augment", "strokes", "prepared", "--count", "3"),
    "evaluate": ("evaluate", "model", "prepared", "--report", "report", "--maps", "maps"),
    "inspect": ("inspect", "model", "PARTS", "--out", "pictures"),
    "teach": ("teach", "model", "MORE/good/x0.png", "--good", "--force"),
    "reproduce": ("reproduce", "figure1", "prepared", "--report", "report"),
    "demo": ("demo", "--out", "demo"),
}


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def workplace(tmp_path, model_folder):
    """Photographs, more of them, a folder prepared from the first, and a model."""
    for name in ("PARTS", "MORE"):
        make_folder(tmp_path / name)
    for number in range(3):
        save(tmp_path / f"MORE/good/x{number}.png", surface(800 + number, 40, 30))
    prepare("folder", tmp_path / "PARTS", tmp_path / "prepared", width=160, height=128)
    shutil.copytree(model_folder, tmp_path / "model")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_message_and_nothing_is_lost(
    run, no_file_beyond, workplace, command, monkeypatch
):
    before = contents(workplace)
    monkeypatch.chdir(workplace)
    with no_file_beyond(6000):
        ended = run(*COMMANDS[command])
    assert (ended.code, "Traceback" in ended.err) == (2, False)
    assert "error: cannot write" in ended.err
    after = contents(workplace)
    assert {name: after.get(name) for name in before} == before
    assert not (workplace / "new").exists()
    assert not (workplace / "model2").exists()
