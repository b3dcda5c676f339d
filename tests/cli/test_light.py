"""`fit --robust light`, and what `fit` and `evaluate` say of light."""

import pytest

from training.made_up import make_stained


@pytest.fixture(scope="module")
def stained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stained")
    make_stained(folder, good=10, defective=4)
    return folder


def test_from_fit_to_report(run, stained, tmp_path):
    model = tmp_path / "model"
    fitted = run("fit", stained, "--model", model, "--robust", "light")
    assert fitted.code == 0, fitted.err
    assert "Robust to light" in fitted.out
    table = fitted.out[fitted.out.index("If the light changes") :].splitlines()[2:12]
    assert table[0].split() == ["unchanged", "+0.00", table[0].split()[2], "%"]
    assert [line for line in table if line.startswith("  light 10 % darker")]
    assert not [line for line in fitted.out.splitlines() if "#" in line]
    evaluated = run("evaluate", model, stained, "--split", "train", "--report", tmp_path / "report")
    assert evaluated.code == 0, evaluated.err
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Good training parts rejected in other light" in page
    assert "light 10 % darker" in page


def test_the_same_in_json(run, stained, tmp_path):
    said = run("fit", stained, "--model", tmp_path / "model", "--json").json
    assert said["trained_on"]["light"]["unchanged"]["rise"] == 0
    assert "light_choice" not in said["trained_on"]


def test_what_is_refused(run, fails, prepared, stained, tmp_path):
    unknown = run("fit", stained, "--model", tmp_path / "m", "--robust", "dark")
    assert (unknown.code, unknown.out) == (2, "")
    assert "'dark' is not one of" in unknown.err
    few = fails("fit", prepared.folder, "--model", tmp_path / "m", "--robust", "light")
    assert "--robust light" in few
    assert "at least 10; there are 6" in few
    assert not (tmp_path / "m").exists()
