"""Operating points, costs and the images that decide, through `fit`, `evaluate` and the report."""

import re
import shutil
from dataclasses import replace

import pytest

from lookalikes import save, surface
from patchcore_dual.cli.fit_summary import summary
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.deciding_cards import deciding_cards
from patchcore_dual.model import load_model
from training.made_up import make_stained

COSTS = ("--miss-cost", 50, "--false-alarm-cost", 1, "--defect-share", 0.02)


@pytest.fixture(scope="module")
def data(prepared, tmp_path_factory):
    """`prepared`, somewhere that it can be taken away from."""
    return shutil.copytree(prepared.folder, tmp_path_factory.mktemp("data") / "data")


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted") / "model"
    PatchCoreDual().fit(data).save(folder)
    return folder


@pytest.fixture
def model(fitted, tmp_path):
    return shutil.copytree(fitted, tmp_path / "model")


def test_fit_and_evaluate_say_what_costs_least_and_threshold_sets_it(run, data, model, tmp_path):
    printed = run("fit", data, "--model", model, "--overwrite", *COSTS).out
    (line,) = (line for line in printed.splitlines() if line.startswith("Least expected cost"))
    facts = run("fit", data, "--model", model, "--overwrite", *COSTS, "--json").json
    figures = run("evaluate", model, data, *COSTS, "--json").json
    assert figures["least_cost"] == facts["least_cost"]
    assert figures["operating_points"] == facts["operating_points"]
    assert facts["least_cost"]["cost"] <= min(p["cost"] for p in facts["operating_points"])
    assert line in run("evaluate", model, data, *COSTS).out
    command = line.split("patchcore-dual ")[1].split()
    assert run(*command).code == 0
    assert load_model(model).thresholds.image.value == facts["least_cost"]["threshold"]["value"]
    own = run("evaluate", model, data, "--json").json
    values = [point["threshold"]["value"] for point in own["operating_points"]]
    assert own["threshold"] in values
    assert values == sorted(values, reverse=True)


def test_fit_names_a_looser_threshold_that_would_find_far_more_defects(run, tmp_path):
    """Two defective parts among the good ones, kept as asked, put the threshold too high."""
    stained = make_stained(tmp_path, good=30, defective=8)
    wrong = {s.image for s in stained.part(label="positive").samples[:2]}
    stained.where(
        replace(s, label="negative", mask="") if s.image in wrong else s for s in stained
    ).save()
    folder = tmp_path / "model"
    printed = run("fit", tmp_path, "--model", folder, "--keep-all").out
    (hint,) = (line for line in printed.splitlines() if "Of the held-out defects" in line)
    found, rate, promised, command = re.fullmatch(
        r"Of the held-out defects this threshold finds (\d+) %; with (\S+ %) false alarms it would "
        r"be (\d+) %\. Set that with: patchcore-dual (.+)",
        hint,
    ).groups()
    assert int(promised) >= int(found) + 20
    fitted = load_model(folder)
    known, own = fitted.held_out.known, fitted.thresholds.image.value
    assert int(found) == round(100 * (known > own).mean())

    assert command.split()[:2] == ["threshold", str(folder)]
    after = run(*command.split())
    assert after.code == 0
    assert f"{rate} false alarms expected" in after.out
    looser = load_model(folder)
    assert looser.thresholds.image.value < own
    assert int(promised) == round(100 * (known > looser.thresholds.image.value).mean())
    assert looser.settings.false_alarm_rate == float(command.split()[-1])
    assert hint in summary(fitted, folder)
    assert hint not in summary(looser, folder)


@pytest.mark.parametrize("command", ["fit", "evaluate", "threshold"])
def test_costs_that_are_incomplete_or_senseless_are_refused(fails, data, model, command):
    where = {
        "fit": (data, "--model", model.with_name("new")),
        "evaluate": (model, data),
        "threshold": (model,),
    }[command]
    assert "takes all of" in fails(command, *where, *COSTS[:2])
    negative = ("--miss-cost", -1, *COSTS[2:])
    assert "--miss-cost is -1" in fails(command, *where, *negative)
    nan = (*COSTS[:4], "--defect-share", "nan")
    assert "--defect-share is nan" in fails(command, *where, *nan)
    assert not model.with_name("new").exists()


def test_without_held_out_defects_there_is_no_cheapest(run, data, tmp_path):
    printed = run("fit", data, "--model", tmp_path / "good", "--defects", 0, *COSTS)
    assert printed.code == 0
    assert "No costs: there are no held-out defects" in printed.out
    assert run("evaluate", tmp_path / "good", data, *COSTS, "--json").json["least_cost"] is None


def test_promised_and_expected_are_told_apart_everywhere(run, data, model):
    threshold = load_model(model).thresholds.image
    assert threshold.expected != threshold.promised
    fitted = run("fit", data, "--model", model, "--overwrite", "--json").json
    measured = run("evaluate", model, data, "--json").json
    shown = run("threshold", model, "--json").json
    for facts in (fitted, measured):
        assert facts["false_alarm_rate_expected"] == threshold.expected
        assert facts["false_alarm_rate_promised"] == threshold.promised
        assert facts["review_share_expected"] == shown["review_share_expected"]
    assert shown["threshold"]["expected"] == threshold.expected
    assert shown["threshold"]["promised"] == threshold.promised


def test_the_report_shows_the_images_that_decide_and_names_them_when_they_are_gone(
    run, data, model, tmp_path
):
    manifest = Manifest.load(data)
    cards = deciding_cards(load_model(model), manifest)
    sources = {s.source for s in manifest.part("train")}
    assert cards
    assert {card.name for card in cards} <= sources
    assert all(card.picture for card in cards)
    assert run("evaluate", model, data, "--report", tmp_path / "report").code == 0
    page = (tmp_path / "report/report.html").read_text()
    assert all(card.picture in page for card in cards)
    other = shutil.copytree(data, tmp_path / "other")
    (changed,) = (s for s in manifest if s.source == cards[0].name)
    path = data / changed.image
    content = path.read_bytes()
    try:
        path.write_bytes((data / manifest.part("test").samples[0].image).read_bytes())
        first, *rest = deciding_cards(load_model(model), Manifest.load(other))
    finally:
        path.write_bytes(content)
    assert first == cards[0]._replace(picture="")
    assert rest == cards[1:]
    moved = data.rename(tmp_path / "moved")
    try:
        cards_without = deciding_cards(load_model(model), Manifest.load(other))
    finally:
        moved.rename(data)
    assert [card.score for card in cards_without] == [card.score for card in cards]
    assert not any(card.picture for card in cards_without)


def test_a_replaced_model_does_not_keep_the_sheet_of_the_former(run, data, tmp_path):
    model = tmp_path / "model"
    assert run("fit", data, "--model", model).code == 0
    assert (model / "deciding_images.jpg").is_file()
    PatchCoreDual(scoring="ratio").fit(data).save(model, overwrite=True)
    assert not (model / "deciding_images.jpg").exists()


def test_seven_groups_promise_no_one_percent(run, tmp_path):
    """However many images they have: fit, evaluate, report, threshold and JSON say so."""
    photos = tmp_path / "photos"
    for lot in range(14):
        for shot in range(3):
            save(photos / f"good/lot{lot:02d}-{shot}.png", surface(100 * lot + shot, 48, 48))
    for lot in range(2):
        save(photos / f"defect/bad{lot:02d}.png", surface(9000 + lot, 48, 48) // 4)
    make = ("prepare", "folder", photos, tmp_path / "prepared", "--size", "48x48")
    assert run(*make, "--group-pattern", "(?:lot|bad)[0-9]+").code == 0
    manifest = Manifest.load(tmp_path / "prepared")
    groups = {s.group for s in manifest.part("train", "negative")}
    assert len(groups) == 7
    model = tmp_path / "model"
    fitted = run("fit", tmp_path / "prepared", "--model", model, "--size", "prepared").out
    said = "1.0 % cannot be promised: 7 groups of good parts allow no less than 12.5 %."
    assert "from 21 held-out good images in 7 groups" in fitted
    assert said in fitted
    assert "promised, from" in fitted
    assert "1.0 % promised" not in fitted
    shown = run("threshold", model)
    assert said in shown.out
    facts = run("threshold", model, "--json").json
    assert facts["threshold"]["promised"] >= 1 / 8
    assert facts["threshold"]["expected"] < 0.05
    assert all(p["threshold"]["promised"] >= 1 / 8 for p in facts["operating_points"])
    evaluated = run("evaluate", model, tmp_path / "prepared", "--report", tmp_path / "report")
    assert evaluated.code == 0
    assert said in (tmp_path / "report/report.html").read_text()
    set_to = run("threshold", model, "--false-alarm-rate", 0.3)
    assert "at most 30.0 % promised" in set_to.out
    assert "cannot be promised" not in set_to.out


def test_a_single_group_says_what_it_cannot_say(run, tmp_path):
    photos = tmp_path / "photos"
    for lot in range(2):
        for shot in range(6):
            save(photos / f"good/lot{lot}-{shot}.png", surface(100 * lot + shot, 48, 48))
    make = ("prepare", "folder", photos, tmp_path / "prepared", "--size", "48x48")
    assert run(*make, "--group-pattern", "lot[0-9]").code == 0
    fitted = run("fit", tmp_path / "prepared", "--model", tmp_path / "model").out
    assert "1 group of good parts allows no less than 50.0 %" in fitted
    assert "All good training images are of one group" in fitted
    assert "not for others" in fitted
