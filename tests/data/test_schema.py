"""Prepared data sets of other schema versions."""

import json
from pathlib import Path
from typing import Any

import pytest

from lookalikes import make_folder
from patchcore_dual.data import schema
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.errors import DataError


def stored(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "preparation.json").read_text(encoding="utf-8"))


def store(folder: Path, preparation: object) -> None:
    (folder / "preparation.json").write_text(json.dumps(preparation), encoding="utf-8")


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    prepare("folder", make_folder(tmp_path / "source"), tmp_path / "p", width=30, height=40)
    return tmp_path / "p"


def test_there_is_a_migration_from_every_older_version() -> None:
    assert list(schema.MIGRATIONS) == list(range(schema.OLDEST_VERSION, schema.SCHEMA_VERSION))


def test_a_new_folder_has_the_present_version(prepared: Path) -> None:
    assert stored(prepared)["schema_version"] == schema.SCHEMA_VERSION


def test_schema_2_is_read_and_saved_as_the_present_schema(prepared: Path) -> None:
    present = stored(prepared)
    # Version 2 differs in nothing but that it is not recorded.
    store(prepared, {k: v for k, v in present.items() if k != "schema_version"})
    manifest = Manifest.load(prepared)
    assert manifest.size() == (30, 40)
    assert manifest.preparation() == present
    assert "schema_version" not in stored(prepared)  # Reading changes nothing.
    manifest.where(manifest.samples[:4]).save()
    assert stored(prepared) == present
    assert Manifest.load(prepared).samples == manifest.samples[:4]


def test_a_folder_without_preparation_json_is_of_schema_2(prepared: Path) -> None:
    (prepared / "preparation.json").unlink()
    manifest = Manifest.load(prepared)
    assert manifest.size() is None
    assert manifest.preparation() == {"schema_version": schema.SCHEMA_VERSION}
    manifest.save()
    assert stored(prepared) == {"schema_version": schema.SCHEMA_VERSION}
    assert Manifest.load(prepared).size() is None


def test_saving_in_the_present_schema_leaves_preparation_json_alone(prepared: Path) -> None:
    before = (prepared / "preparation.json").read_bytes()
    Manifest.load(prepared).save()
    assert (prepared / "preparation.json").read_bytes() == before


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (4, "schema version 4; this program reads versions 2 to 3. Use a newer version"),
        (1, "schema version 1; this program reads versions 2 to 3. Prepare the data set again"),
        ("3", "is damaged: its schema version is '3'"),
        (True, "is damaged: its schema version is True"),
        (None, "is damaged: its schema version is None"),
    ],
)
def test_other_versions_are_refused(prepared: Path, version: object, message: str) -> None:
    manifest = Manifest.load(prepared)
    rows = (prepared / "manifest.csv").read_bytes()
    store(prepared, {**stored(prepared), "schema_version": version})
    with pytest.raises(DataError, match=rf"preparation\.json .*{message}"):
        Manifest.load(prepared)
    with pytest.raises(DataError, match=message):
        manifest.where(manifest.samples[:1]).save()
    assert (prepared / "manifest.csv").read_bytes() == rows


def test_migrations_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(old: str, new: str) -> Any:
        return lambda p: {new if key == old else key: value for key, value in p.items()}

    monkeypatch.setattr(schema, "SCHEMA_VERSION", 5)
    monkeypatch.setattr(schema, "MIGRATIONS", {2: dict, 3: renamed("a", "b"), 4: renamed("b", "c")})
    for version, key in ((2, "a"), (3, "a"), (4, "b"), (5, "c")):
        migrated = schema.bring_up_to_date({"schema_version": version, key: 1}, Path("p.json"))
        assert migrated == {"schema_version": 5, "c": 1}


@pytest.mark.parametrize("text", ["[]", "{", ""])
def test_a_damaged_file_is_named(prepared: Path, text: str) -> None:
    (prepared / "preparation.json").write_text(text)
    with pytest.raises(DataError, match=r"preparation\.json is damaged"):
        Manifest.load(prepared)


@pytest.mark.parametrize("size", ["30", "30x40x2", "axb", 7, None])
def test_a_damaged_size_is_named(prepared: Path, size: object) -> None:
    store(prepared, {**stored(prepared), "size": size})
    with pytest.raises(DataError, match=r"preparation\.json is damaged"):
        Manifest.load(prepared).size()
