"""`threshold`: from the scores that a model keeps, without images or PyTorch."""

import json
import shutil
import subprocess
import sys

import pytest

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.model import load_model
from patchcore_dual.model.folder import MODEL_FILE


@pytest.fixture(scope="module")
def fitted(fitted_with, tmp_path_factory):
    folder = tmp_path_factory.mktemp("threshold") / "model"
    fitted_with().save(folder)
    return folder


@pytest.fixture
def model(fitted, tmp_path):
    return shutil.copytree(fitted, tmp_path / "model")


def test_without_an_option_it_shows_the_table_and_changes_nothing(run, model):
    before = (model / MODEL_FILE).read_bytes()
    printed = run("threshold", model).out
    assert (model / MODEL_FILE).read_bytes() == before
    assert "false alarms expected; at most" in printed
    assert "3 groups of good parts allow no less than 25.0 %" in printed
    assert max(len(line) for line in printed.splitlines() if " of 1,000" in line) <= 80
    for rate in ("0.1 %", "0.5 %", "1.0 %", "2.0 %", "5.0 %", "10.0 %"):
        assert any(line.lstrip(" *").startswith(rate) for line in printed.splitlines())


def test_it_sets_what_a_fit_at_that_rate_sets(run, model, prepared):
    was = load_model(model)
    result = run("threshold", model, "--false-alarm-rate", "0.5")
    assert f"Was {was.thresholds.image.value:.4g}, for a false-alarm rate of 0.01." in result.out
    now = load_model(model)
    assert now.thresholds == was.calibration.thresholds(was.rule, 0.5)
    assert now.settings == was.settings.model_copy(update={"false_alarm_rate": 0.5})
    assert now.thresholds.pixel < was.thresholds.pixel
    assert {p.name for p in model.parent.iterdir()} <= {"model", ".model.lock"}
    image = prepared.image_path(prepared.samples[0])
    inspection = PatchCoreDual.load(model).inspect(image)
    assert inspection.threshold == now.thresholds.image.value
    assert inspection.review_threshold == now.thresholds.review.value


def test_by_recall(run, model):
    facts = run("threshold", model, "--recall", "0.9", "--json").json
    assert facts["recall_known"] >= 0.9
    now = load_model(model)
    assert facts["threshold"]["value"] == now.thresholds.image.value
    assert now.settings.false_alarm_rate == pytest.approx(
        max(facts["threshold"]["expected"], 1e-6)  # the least that can be set
    )


def test_every_held_out_defect_can_be_asked_for(run, model):
    assert run("threshold", model, "--recall", "1", "--json").json["recall_known"] == 1


def test_by_cost(run, model):
    costs = ("--miss-cost", "50", "--false-alarm-cost", "1", "--defect-share", "0.02")
    result = run("threshold", model, *costs)
    assert "cost" in result.out
    _, table = result.out.split("cost\n")
    rows = table.splitlines()
    costs = {line.lstrip().startswith("*"): float(line.split()[-1]) for line in rows}
    assert costs[True] <= min(float(line.split()[-1]) for line in rows) + 0.01


def test_review_alone_keeps_the_threshold(run, model):
    was = load_model(model)
    run("threshold", model, "--review-rate", "0.3")
    now = load_model(model)
    assert now.thresholds.image == was.thresholds.image
    assert now.thresholds.review.value < was.thresholds.review.value
    assert now.settings.review_rate == 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--false-alarm-rate", "0"), "--false-alarm-rate is 0"),
        (("--false-alarm-rate", "1"), "--false-alarm-rate is 1"),
        (("--false-alarm-rate", "nan"), "--false-alarm-rate is nan"),
        (("--recall", "1.5"), "--recall is 1.5"),
        (("--recall", "0"), "--recall is 0"),
        (("--recall", "nan"), "--recall is nan"),
        (("--recall", "0.9", "--false-alarm-rate", "0.1"), "not several"),
        (("--miss-cost", "3"), "takes all of"),
        (
            ("--miss-cost", "-3", "--false-alarm-cost", "1", "--defect-share", "0.1"),
            "--miss-cost is -3",
        ),
        (
            ("--miss-cost", "3", "--false-alarm-cost", "0", "--defect-share", "0.1"),
            "--false-alarm-cost is 0; give a number above 0, since otherwise it costs least to "
            "reject every part",
        ),
        (
            ("--miss-cost", "3", "--false-alarm-cost", "nan", "--defect-share", "0.1"),
            "--false-alarm-cost is nan",
        ),
        (
            ("--miss-cost", "3", "--false-alarm-cost", "1", "--defect-share", "1"),
            "--defect-share is 1",
        ),
        (("--review-rate", "0.001"), "below false_alarm_rate"),
    ],
)
def test_bad_input_is_one_error_and_changes_nothing(fails, model, options, message):
    before = (model / MODEL_FILE).read_bytes()
    assert message in fails("threshold", model, *options)
    assert (model / MODEL_FILE).read_bytes() == before


def test_a_model_without_a_calibration_set(fails, model):
    entry = json.loads((model / MODEL_FILE).read_text())
    entry["calibration"] = None
    (model / MODEL_FILE).write_text(json.dumps(entry))
    assert "keeps no scores" in fails("threshold", model, "--false-alarm-rate", "0.1")


def test_it_takes_no_pytorch(model):
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['patchcore-dual', 'threshold', "
        f"{str(model)!r}, '--false-alarm-rate', '0.2']; "
        "from patchcore_dual.cli.main import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
