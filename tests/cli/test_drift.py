"""`drift` and the drift of `inspect`, as a user runs them on rendered parts under a new lamp."""

import json
import shutil

import cv2
import numpy as np
import pytest

from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.detector import PatchCoreDual


def part(random, light=1.0):
    """A grey plate, uint8 `[48, 48, 3]`, that varies a little."""
    texture = cv2.GaussianBlur(random.normal(0, 30, (48, 48)), (0, 0), 1.5)
    grey = light * (120 + texture + random.normal(0, 4))
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A model of 24 good plates in `model`, 20 more of them in `usual`, and 40 darker in `dark`."""
    folder, random = tmp_path_factory.mktemp("line"), np.random.default_rng(0)
    for name, count, light in (("parts/good", 30, 1), ("usual", 20, 1), ("dark", 40, 0.7)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            write_png(folder / name / f"{i:02}.png", part(random, light))
    prepare("folder", folder / "parts", folder / "prepared", width=48, height=48)
    detector = PatchCoreDual(scoring="patchcore").fit(folder / "prepared")
    detector.save(folder / "model")
    return folder


@pytest.fixture(scope="module")
def log(line):
    """What `inspect --jsonl` prints of the usual plates and then the dark ones."""
    from patchcore_dual.live.watching import Watch

    detector = PatchCoreDual.load(line / "model")
    watch = Watch(detector.model.drift)
    paths = [*sorted((line / "usual").iterdir()), *sorted((line / "dark").iterdir())]
    results = list(detector.inspect_many(paths))
    return [json.dumps({**one.to_json(), "drift": watch.add(one)}) for one in results]


def test_a_new_lamp_is_found_by_inspect_and_in_its_log(line, run, tmp_path):
    paths = [*sorted((line / "usual").iterdir()), *sorted((line / "dark").iterdir())]
    result = run("inspect", line / "model", *paths, "--jsonl")
    (tmp_path / "log.jsonl").write_text(result.out)
    states = [json.loads(text)["drift"] for text in result.out.splitlines()]
    assert states[0] == {"status": "stable"}
    assert states[-1]["status"] == "drifting"
    assert 18 <= states[-1]["since"] <= 24  # an estimate
    assert "darker" in result.err
    assert "teach about 20 good images" in result.err
    found = run("drift", line / "model", tmp_path / "log.jsonl", "--picture", tmp_path / "d.png")
    assert found.code == 1
    assert states[-1]["message"] in found.out
    assert read_image(tmp_path / "d.png").shape[2] == 3
    values = run("drift", line / "model", tmp_path / "log.jsonl", "--json").json
    assert values["since"] == states[-1]["since"]
    assert values["first_path"] == json.loads(result.out.splitlines()[values["since"] - 1])["path"]
    together = run("inspect", line / "model", *paths)
    assert "darker" in together.out


def test_usual_parts_are_no_drift(line, log, run, tmp_path):
    (tmp_path / "log.jsonl").write_text("\n".join(log[:20]) + "\n")
    result = run("drift", line / "model", tmp_path / "log.jsonl")
    assert (result.code, result.out) == (0, "No drift in 20 images, at level 0.01.\n")
    assert "drift" not in run("inspect", line / "model", line / "usual").out


def test_a_log_that_begins_with_changed_parts(line, log, run, tmp_path):
    error = json.dumps({"path": "broken.png", "error": "cannot be read"})
    (tmp_path / "log.jsonl").write_text("\n".join([error, *log[20:]]))
    values = run("drift", line / "model", tmp_path / "log.jsonl", "--json").json
    assert (values["status"], values["unreadable"]) == ("drifting", 1)
    assert values["since"] <= 3
    text = run("drift", line / "model", tmp_path / "log.jsonl").out
    assert "1 more could not be read" in text


def test_a_folder_of_defects_is_not_called_drift_alone(line, log, run, tmp_path):
    dark = [json.loads(text) for text in log[20:]]
    passed = [json.dumps({**one, "verdict": "pass"}) for one in dark]
    rejected = [json.dumps({**one, "verdict": "reject"}) for one in dark[:5]]
    said = "5 of 40 images were rejected or not inspected. If more than one part in ten is truly"
    for lines, is_said in (([*rejected, *passed[5:]], True), (passed, False)):
        (tmp_path / "log.jsonl").write_text("\n".join(lines))
        found = run("drift", line / "model", tmp_path / "log.jsonl")
        assert found.code == 1
        assert (said in found.out) == is_said


def test_a_log_that_powershell_wrote(line, log, run, tmp_path):
    (tmp_path / "log.jsonl").write_text("\r\n".join(log[:20]), "utf-16", newline="")
    result = run("drift", line / "model", tmp_path / "log.jsonl")
    assert (result.code, result.out) == (0, "No drift in 20 images, at level 0.01.\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [], "holds no inspection"),
        (lambda lines: [*lines[:2], lines[2][:50]], "line 3 breaks off"),
        (
            lambda lines: [lines[0], "time=12:00", lines[1]],
            "line 2 is no line that .inspect --jsonl. printed",
        ),
        (lambda lines: ["[1]"], "line 1 is no line that"),
        (lambda lines: ['{"verdict": "pass"}'], "inspected by the model"),
        (
            lambda lines: [lines[0].replace('"appearance"', '"apearance"')],
            "older version. Inspect the images again",
        ),
        (lambda lines: [lines[0].replace('"tint"', '"tin"')], "damaged at appearance"),
    ],
)
def test_logs_that_cannot_be_used(line, log, fails, tmp_path, change, message):
    (tmp_path / "log.jsonl").write_text("\n".join(change(log)))
    assert_found(message, fails("drift", line / "model", tmp_path / "log.jsonl"))


def assert_found(pattern, text):
    import re

    assert re.search(pattern, " ".join(text.split()))


def test_bad_options(line, log, fails, tmp_path):
    (tmp_path / "log.jsonl").write_text("\n".join(log))
    assert "level is 2" in fails("drift", line / "model", tmp_path / "log.jsonl", "--level", "2")
    text = fails("drift", line / "model", tmp_path / "log.jsonl", "--picture", tmp_path / "d.txt")
    assert "ends in .png" in text
    assert "cannot be read" in fails("drift", line / "model", tmp_path / "missing.jsonl")


def test_a_model_without_reference_says_what_to_do(model_folder, fails, run, prepared, tmp_path):
    """One of fewer than ten good images, as one of a version that kept none."""
    (tmp_path / "log.jsonl").write_text("")
    assert "Fit it again" in fails("drift", model_folder, tmp_path / "log.jsonl")
    result = run("inspect", model_folder, prepared.folder, "--json").json
    assert result["drift"]["status"] == "not measured"
    assert "Fit it again" in result["drift"]["message"]


def test_teaching_renews_the_reference(line, tmp_path):
    from patchcore_dual.live import Lesson

    shutil.copytree(line / "model", tmp_path / "model")
    detector = PatchCoreDual.load(tmp_path / "model")
    before = detector.model.drift
    lessons = [Lesson(path, is_defect=False) for path in sorted((line / "dark").iterdir())[:12]]
    detector.teach(*lessons, force=True)
    after = detector.model.drift
    assert after.is_taught.sum() == 12
    assert len(after.names) == len(before.names) + 12
    np.testing.assert_array_equal(after.values[~after.is_taught, 2:], before.values[:, 2:])
    brightness = 2
    assert after.tolerance[brightness, 1] > before.tolerance[brightness, 1] + 20
    assert after.tolerance[brightness, 0] == before.tolerance[brightness, 0]
    detector.save(tmp_path / "model", overwrite=True)
    again = PatchCoreDual.load(tmp_path / "model").model.drift
    assert again.names == after.names
    for name, values in after.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], values)


def test_drift_in_a_folder_of_results_and_after_judging_its_embeddings_again(line, run, tmp_path):
    pytest.importorskip("pyarrow", reason="results are Parquet files")
    images = line / "usual", line / "dark"
    kept, first, again = tmp_path / "kept", tmp_path / "first", tmp_path / "again"
    alone = ("--workers", 1, "--results")
    run("inspect", line / "model", *images, *alone, first, "--embeddings", kept)
    run("inspect", line / "model", "--from-embeddings", kept, *alone, again)
    for results in (first, again):
        found = run("drift", line / "model", results, "--json")
        assert found.code == 1
        assert found.json["images"] == 60
        assert 18 <= found.json["since"] <= 24
        assert "darker" in found.json["message"]
