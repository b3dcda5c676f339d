"""The demo on a data set of a few parts."""

import sys
from functools import partial

import pytest

from patchcore_dual.cli.main import main
from patchcore_dual.demo import surfaces
from patchcore_dual.detector import PatchCoreDual


@pytest.fixture
def demo(monkeypatch):
    few = partial(
        surfaces.make_surfaces, train_good=4, train_defective=3, test_good=3, test_defective=3
    )
    monkeypatch.setattr(surfaces, "make_surfaces", few)
    monkeypatch.setenv("COLUMNS", "200")

    def demo(out):
        monkeypatch.setattr(sys, "argv", ["patchcore-dual", "demo", "--out", str(out)])
        try:
            main()
        except SystemExit as end:
            return end.code
        return 0

    return demo


def test_writes_models_and_reports(demo, tmp_path, capsys):
    out = tmp_path / "demo"
    assert not demo(out)
    printed = capsys.readouterr().out
    assert "Image AUROC" in printed
    assert "patchcore-dual" in printed
    assert str(out / "report.html") in printed.replace("\n", "")
    assert "promised by the threshold" in printed
    assert "allows 5 % false alarms" in printed
    for page in ("report.html", "patchcore/report.html", "patchcore-dual/report.html"):
        assert (out / page).stat().st_size > 1_000
    dual = PatchCoreDual.load(out / "model-patchcore-dual")
    assert dual.model.defect_bank is not None
    assert dual.settings.scoring != "patchcore"
    assert PatchCoreDual.load(out / "model-patchcore").settings.scoring == "patchcore"
    assert not demo(out)  # and once more into the same folder


def test_leaves_other_folders_alone(demo, tmp_path, capsys):
    (tmp_path / "thesis.docx").touch()
    assert demo(tmp_path) == 2
    assert "is not empty and holds no demo, so it is left alone" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.docx"]


def test_photographs_in_a_folder_called_parts_are_left_alone(demo, tmp_path, capsys):
    photograph = tmp_path / "parts" / "good" / "1.png"
    photograph.parent.mkdir(parents=True)
    photograph.touch()
    assert demo(tmp_path) == 2
    assert "left alone" in capsys.readouterr().err
    assert photograph.exists()
