"""`history`, `undo`, `diff`, `tag` and `prune` as a user runs them, and the versions of others."""

import json
import re
import shutil

import pytest

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.model import read_fingerprint


@pytest.fixture
def model(model_folder, tmp_path, monkeypatch):
    shutil.copytree(model_folder, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "model"


def lines_of(result):
    assert result.code == 0, result.err
    return result.out.splitlines()


def test_a_model_that_was_never_changed_has_its_fit(run, model):
    before = sorted(p.name for p in model.iterdir())
    (line,) = lines_of(run("history", model))
    assert re.fullmatch(
        r"\*   1  20\d\d-\d\d-\d\d \d\d:\d\d  \S+  fit: data prepared, normal images 6, "
        r"defective images 3.*",
        line,
    )
    assert "is whole, and was never changed." in run("history", model, "--verify").out
    assert sorted(p.name for p in model.iterdir()) == before


def test_the_life_of_a_model(run, model):
    fitted = read_fingerprint(model)
    why = ("--by", "Anna", "--why", "too many alarms on line 3")
    assert run("threshold", model, "--false-alarm-rate", "0.5", *why).code == 0
    changed = read_fingerprint(model)
    assert run("tag", "model", "approved").out == (
        "Version 2 of model is approved: read it as model@approved.\n"
    )
    assert lines_of(run("undo", "model", "--by", "Bert")) == [
        f"model is at version 1 again, fingerprint {fitted}.",
        "To take this back: patchcore-dual undo model --to 2",
    ]
    assert read_fingerprint(model) == fitted
    first, second, reason, third, fourth = lines_of(run("history", "model"))
    assert first.startswith("*   1  ")
    assert re.search(
        r"Anna  threshold: image threshold \S+ → \S+, "
        r"false alarms expected 0\.01 → 0\.4\d+, review threshold \S+ → \S+ \[approved\]$",
        second,
    )
    assert reason.strip() == "“too many alarms on line 3”"
    assert third.endswith("tag: version 2 is approved")
    assert fourth.endswith("Bert  undo: back to version 1")
    facts = run("undo", "model", "--to", "2", "--json").json
    assert facts == {"model": "model", "was": 1, "now": 2, "fingerprint": changed}
    assert "is at version 2 already" in run("undo", "model", "--to", "3").out
    kept = run("history", "model", "--json").json
    known = run("history", "model", "--verify", "--json").json["hash"]
    assert (kept["in_place"], kept["fingerprint"], kept["tags"]) == (2, changed, {"approved": 2})
    assert [v["by"] for v in kept["versions"][1:4:2]] == ["Anna", "Bert"]
    assert "Removed from model: 1, 4; " in run("prune", "model", "--keep", "1").out
    assert "nothing was removed" in run("prune", "model", "--keep", "1").out
    assert "(removed by prune)" in run("history", "model").out.splitlines()[0]
    assert "no version approved any more" in run("tag", "model", "approved", "--remove").out
    whole = run("history", "model", "--verify", "--expect", known)
    assert whole.code == 0
    assert "model is whole: 7 versions, none of them altered." in whole.out
    assert json.loads(run("history", "model", "--verify", "--json").out)["whole"]


def test_an_altered_history_is_an_answer_of_no(run, model):
    for rate in ("0.5", "0.4"):
        run("threshold", model, "--false-alarm-rate", rate)
    ledger = model / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"why": ""', b'"why": "asked"', 2))
    result = run("history", model, "--verify")
    assert result.code == 1
    assert result.out.startswith("altered: line 1 was changed, or lines were removed")
    facts = run("history", model, "--verify", "--json")
    assert (facts.code, facts.json["whole"], len(facts.json["problems"])) == (1, False, 2)


def test_any_command_reads_a_version(run, model, prepared):
    run("threshold", "model", "--false-alarm-rate", "0.5")
    image = prepared.image_path(prepared.samples[0])
    one, two = (
        run("inspect", f"model@{n}", image, "--json").json["results"][0]["threshold"]
        for n in (1, 2)
    )
    assert one > two == PatchCoreDual.load("model").model.thresholds.image.value


def test_the_difference_of_two_versions(run, model, prepared, tmp_path):
    run("threshold", "model", "--false-alarm-rate", "0.5")
    lines = lines_of(run("diff", "model@1", "model"))
    assert re.fullmatch(r" +model@1 +model", lines[0])
    assert re.fullmatch(r"setting false_alarm_rate +0\.01 +0\.5", lines[2])
    assert any(re.match(r"image threshold +\S+ +\S+$", line) for line in lines)
    same = lines_of(run("diff", "model", "model@2"))
    assert "are the same model" in same[0]
    shown = run("diff", "model@1", "model", "--data", prepared.folder, "--out", "difference")
    assert shown.code == 0, shown.err
    facts = run("diff", "model@1", "model", "--data", prepared.folder, "--json").json["on"]
    evaluated = [run("evaluate", m, prepared.folder, "--json").json for m in ("model@1", "model")]
    for name, metric in facts["metrics"].items():
        assert metric["values"] == [one[name] for one in evaluated]
        low, high = metric["interval"]
        assert low <= metric["difference"] <= high
    expected = [
        (a["path"], [a["verdict"], b["verdict"]])
        for a, b in zip(*(one["images"] for one in evaluated), strict=True)
        if a["verdict"] != b["verdict"]
    ]
    assert expected
    assert sorted((c["image"], c["verdicts"]) for c in facts["changes"]) == sorted(expected)
    assert f"Verdicts that differ: {len(expected)} of {len(evaluated[0]['images'])}" in shown.out
    folder = tmp_path / "difference"
    assert len(list(folder.glob("*.jpg"))) == 2 * len(expected)
    page = (folder / "index.html").read_text()
    assert page.count("<article") == len(expected)
    assert all(f'src="{path.name}"' in page for path in folder.glob("*.jpg"))
    assert "already holds a comparison. Name another one." in run(
        "diff", "model@1", "model", "--data", prepared.folder, "--out", "difference"
    ).err  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("history", "nowhere"), "nowhere is not a model folder: it has no model.json"),
        (("history", "model", "--expect", "ab"), "--expect is for --verify"),
        (("undo", "nowhere"), "nowhere is not a model folder"),
        (("undo", "model"), "there is nothing to undo"),
        (("undo", "model", "--to", "7"), "model has no version 7: it has versions 1 to 1"),
        (("undo", "model@1"), "model@1 is not a model folder"),
        (("tag", "model", "3"), "'3' cannot be a tag"),
        (("tag", "model", "approved", "--version", "2"), "has no version 2"),
        (("tag", "model", "approved", "--remove"), "has no tag 'approved'. Its tags: none"),
        (("tag", "model", "a", "--remove", "--version", "1"), "--remove takes the name away"),
        (("prune", "model", "--keep", "0"), "--keep is 0"),
        (("diff", "model", "model@best"), "model has no version best"),
        (("diff", "model", "nowhere"), "nowhere is not a model folder"),
        (("diff", "model", "model", "--out", "x"), "are for --data PREPARED"),
        (("diff", "model", "model", "--data", "model"), "model"),
        (("threshold", "model@1", "--false-alarm-rate", "0.5"), "model@1 is not a model folder"),
    ],
)
def test_bad_input_is_one_error_and_changes_nothing(fails, model, arguments, message):
    before = {p: p.read_bytes() for p in model.parent.rglob("*") if p.is_file()}
    assert message in fails(*arguments)
    assert {p: p.read_bytes() for p in model.parent.rglob("*") if p.is_file()} == before


def test_a_full_disk_leaves_the_version_before(fails, model, no_file_beyond):
    before = {p: p.read_bytes() for p in model.parent.rglob("*") if p.is_file()}
    with no_file_beyond(1000):
        assert "cannot write" in fails("threshold", model, "--false-alarm-rate", "0.5")
    assert {p: p.read_bytes() for p in model.parent.rglob("*") if p.is_file()} == before
