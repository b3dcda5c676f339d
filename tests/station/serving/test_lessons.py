"""Edits of served models: as on the command line, in a process of their own."""

import os
import signal
import sqlite3
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, ImageError, ModelError, SettingsError, StationError
from patchcore_dual.live import undo, verify
from patchcore_dual.live.threshold import set_thresholds
from patchcore_dual.station import changes
from patchcore_dual.station.changes import By
from patchcore_dual.station.log import Decision, Query
from patchcore_dual.station.serving import teaching
from patchcore_dual.station.serving.teaching import decode_mask, read_mask


def test_a_defect_is_taught_undone_and_written_down(station, pictures):
    before = station.inspect("part", pictures.defect, name="../../a b.png")
    told = []
    station.listeners.append(lambda kind, values: told.append(kind))
    by = By("ada", "missed")
    shown = changes.teach(station, "part", before, "defect", by, dry_run=True)
    assert not shown["accepted"]
    assert shown["proposed_mask"]
    proposed = read_mask(decode_mask(shown["proposed_mask"]), 10**6)
    assert proposed.shape == (before.height, before.width)
    done = changes.teach(station, "part", before, "defect", by, mask=pictures.mask, force=True)
    assert done["accepted"]
    assert done["version"] == 2
    after = station.inspect("part", pictures.defect)
    assert after.version == 2
    assert after.score > before.score
    assert after.nearest_defect["image"] == f"station/{before.id}-a-b.png"
    record = station.log.get(before.id)
    assert (record.decision.label, record.decision.by) == ("defect", "ada")
    assert record.decision.taught_version == 2
    (edit,) = station.log.edits("part").items
    assert (edit.action, edit.by, edit.why, edit.inspection) == ("teach", *by, before.id)
    assert edit.images == [before.image], "so that retention spares it"
    undone = changes.undo(station, "part", None, By("bob"))
    assert undone["changed"]
    again = station.inspect("part", pictures.defect)
    assert (again.version, again.fingerprint, again.score) == (
        before.version,
        before.fingerprint,
        before.score,
    )
    assert told.count("edit") == 2
    assert told.count("decision") == 1
    assert not verify(station.settings.models["part"])


def test_an_inspection_of_another_model_teaches_nothing(station, pictures):
    record = replace(station.inspect("part", pictures.defect), model="gear")
    with pytest.raises(DataError, match=r"was made by 'gear'\. Have its image inspected by 'part'"):
        changes.teach(station, "part", record, "defect", By("ada"), force=True)
    assert station.model("part").version == 1


def test_a_mask_that_is_no_image_is_called_a_mask():
    with pytest.raises(ImageError, match=r"^the mask is no image"):
        read_mask(b"<html>", 10**6)


def test_a_training_image_is_taken_out_and_comes_back(station, pictures):
    served = station.model("part")
    before, station_sees = served.fingerprint, station.inspect("part", pictures.defect)
    name = station_sees.nearest_defect["image"]
    by = By("ada", "mislabelled")
    shown = changes.remove(station, "part", [name.rpartition("/")[2]], by, dry_run=True)
    assert (shown["removed"], shown["accepted"], served.fingerprint) == ([name], False, before)
    done = changes.remove(station, "part", [name], by, force=True)
    assert (done["version"], done["removed"], done["effects"]) == (2, [name], shown["effects"])
    assert station.inspect("part", pictures.defect).nearest_defect["image"] != name
    (edit,) = station.log.edits("part").items
    assert (edit.action, edit.by, edit.why, edit.version) == ("remove", *by, 2)
    with pytest.raises(DataError, match="no training image"):
        changes.remove(station, "part", [name], by)
    changes.undo(station, "part", None, By("bob"))
    assert station.inspect("part", pictures.defect).nearest_defect["image"] == name
    assert not verify(served.folder)


def test_a_removal_that_costs_too_much_is_refused_as_on_the_command_line(station):
    served = station.model("part")
    goods = served.detector.model.calibration.normals
    done = changes.remove(station, "part", goods[:2], By())
    assert "The promised false-alarm rate would rise" in done["refusals"][0]
    assert not done["accepted"]
    with pytest.raises(DataError, match="fewer than two good images"):
        changes.remove(station, "part", goods, By())
    assert (served.version, station.log.edits("part").items) == (1, ())


def test_a_lesson_counts_although_its_decision_cannot_be_written(
    settings, make_station, pictures, monkeypatch
):
    monkeypatch.setattr("patchcore_dual.station.log.database._BUSY", 0.1)
    station = make_station(settings)
    record = station.inspect("part", pictures.defect)
    other = sqlite3.connect(settings.data / "station.db", isolation_level=None)
    station.listeners.append(lambda kind, _: kind == "edit" and other.execute("BEGIN EXCLUSIVE"))
    done = changes.teach(station, "part", record, "defect", By(), force=True)
    other.close()
    assert (done["accepted"], done["version"]) == (True, 2)
    assert "could not be marked" in done["notes"][-1]
    assert station.log.get(record.id).decision is None


def test_refusals_are_those_of_the_command_line(station, pictures):
    record = station.inspect("part", pictures.defect)
    with pytest.raises(SettingsError, match="a good part has no defect"):
        changes.teach(station, "part", record, "good", By(), mask=pictures.mask)
    with pytest.raises(DataError, match="not base64"):
        decode_mask("!")
    with pytest.raises(ModelError, match="nothing to undo"):
        changes.undo(station, "part", None, By())
    with pytest.raises(SettingsError, match="cannot be a tag"):
        changes.tag(station, "part", "../x", None, By())
    with pytest.raises(ModelError, match="has no version 7"):
        changes.tag(station, "part", "approved", 7, By())
    assert not station.log.edits("part").items


def test_an_image_that_retention_removed_cannot_be_taught(station, pictures):
    record = station.inspect("part", pictures.defect)
    station.images.path(record.image).unlink()
    with pytest.raises(FileNotFoundError):
        changes.teach(station, "part", record, "defect", By())


def test_thresholds_are_shown_and_set(station, pictures):
    shown = changes.set_thresholds(station, "part", By(), false_alarm_rate=0.4, dry_run=True)
    assert station.inspect("part", pictures.good).version == 1
    done = changes.set_thresholds(station, "part", By(), false_alarm_rate=0.4)
    assert done["threshold"] == shown["threshold"]
    record = station.inspect("part", pictures.good)
    assert (record.version, record.threshold) == (2, done["threshold"]["value"])
    again = changes.set_thresholds(station, "part", By(), false_alarm_rate=0.4)
    assert not again["changed"]
    assert len(station.log.edits("part").items) == 1


def test_versions_are_compared_on_calibration_and_logged_images(station, pictures):
    station.inspect("part", pictures.good)
    changes.set_thresholds(station, "part", By(), false_alarm_rate=0.5)
    served = station.model("part")
    found = station.lessons.compare(served, "1", "2", station.recent_images("part"))
    assert found["logged"]["n"] == 1
    assert found["calibration"]["n"] == 9
    assert found["differences"]["settings"]["false_alarm_rate"]
    with pytest.raises(ModelError):
        station.lessons.compare(served, "1", "9", [])


def test_what_is_said_of_a_model(station):
    served = station.model("part")
    said = station.lessons.describe(served)
    assert said["fingerprint"] == served.fingerprint
    assert said["can_be_taught"], said["why_not"]
    assert len(said["held_out"]["good"]) == said["training_images"]["good"] == 6
    assert station.lessons.describe(served) is said, "computed once"
    images = station.lessons.training_images(served)
    assert images[0]["is_at_hand"]
    picture = station.lessons.training_picture(served, images[0]["key"])
    assert picture.startswith(b"\x89PNG")
    assert station.lessons.training_picture(served, "0" * 16) is None


def test_a_model_without_its_images_says_why_it_cannot_be_taught(settings, make_station, prepared):
    away = prepared.folder.with_name("away")
    prepared.folder.rename(away)
    try:
        station = make_station(settings)
        said = station.lessons.describe(station.model("part"))
    finally:
        away.rename(prepared.folder)
    assert station.lessons.describe(station.model("part"))["can_be_taught"], "they are back"
    assert not said["can_be_taught"]
    assert "--get-ready" in said["why_not"]


def test_inspections_go_on_while_an_edit_is_made(station, pictures):
    record = station.inspect("part", pictures.defect)
    station.lessons.describe(station.model("part"))  # the process is there
    teaching = threading.Thread(
        target=changes.teach, args=(station, "part", record, "defect", By()), kwargs={"force": True}
    )
    teaching.start()
    seen = []
    while teaching.is_alive():
        seen.append(station.inspect("part", pictures.good).version)
        time.sleep(0.005)
    assert len(seen) > 5
    assert set(seen) <= {1, 2}
    assert seen == sorted(seen), "a reader never meets an older version again"
    assert station.inspect("part", pictures.good).version == 2


def test_a_killed_edit_leaves_a_whole_model_and_the_next_one_works(station, pictures):
    served = station.model("part")
    station.lessons.describe(served)
    (process,) = station.lessons._editor._pool._processes
    record = station.inspect("part", pictures.defect)
    killer = threading.Timer(0.3, os.kill, (process, signal.SIGKILL))
    killer.start()
    with pytest.raises(StationError, match="cut short"):
        changes.teach(station, "part", record, "defect", By(), dry_run=True)
    assert not verify(served.folder)
    assert changes.set_thresholds(station, "part", By(), false_alarm_rate=0.3)["changed"]


def test_too_many_edits_are_refused(station, monkeypatch):
    monkeypatch.setattr(station.lessons._editor, "_running", 99)
    with pytest.raises(StationError, match="changes are waiting"):
        station.lessons.describe(station.model("part"))


def test_a_decision_is_made_and_taken_back(station, pictures):
    record = station.inspect("part", pictures.defect)
    assert record.review == "open"
    decided = station.decide(record.id, Decision(label="skip", by="ada", at=datetime.now(UTC)))
    assert decided.review == "done"
    assert not station.log.list(Query(review="open")).items
    assert station.decide(record.id, None).review == "open"


def test_edits_end_with_the_station(settings, make_station):
    station = make_station(replace(settings, data=settings.data / "other"))
    station.lessons.describe(station.model("part"))
    (process,) = station.lessons._editor._pool._processes
    station.lessons.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_what_was_shown_is_not_computed_again(settings, pictures, tmp_path, monkeypatch):
    folder = settings.models["part"]
    image = tmp_path / "image.png"
    image.write_bytes(pictures.defect)
    asked = teaching.LessonAsked(image, "station/1", True, pictures.mask, force=True)
    computed = []
    teach = PatchCoreDual.teach
    monkeypatch.setattr(
        PatchCoreDual, "teach", lambda self, *a, **o: computed.append(1) or teach(self, *a, **o)
    )
    shown = teaching.teach(folder, replace(asked, dry_run=True))
    done = teaching.teach(folder, replace(asked, why="missed"))
    assert (len(computed), done["version"]) == (1, 2)
    assert done["effects"] == shown["effects"]
    assert not verify(folder)
    undo(folder)
    teaching.teach(folder, replace(asked, dry_run=True))
    set_thresholds(folder, false_alarm_rate=0.5)
    again = teaching.teach(folder, asked)
    assert (len(computed), again["version"]) == (3, 5), "the model was another meanwhile"
    expected = PatchCoreDual.load(folder, device="cpu")
    assert again["fingerprint"] == expected.fingerprint
    assert expected.inspect(pictures.defect).nearest_defect.image == "station/1"
