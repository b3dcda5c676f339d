"""A report that would be replaced is kept, unless it says the same."""

import json

from patchcore_dual.evaluation.former_report import keep_former_report

FIGURES = {"recall": 0.5, "kinds": {}, "date": "2026-11-26", "interval": (0.1, 0.9)}


def write(folder, figures, page):
    (folder / "report.html").write_text(page)
    (folder / "evaluation.json").write_text(json.dumps(figures))


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_there_is_nothing_to_keep(tmp_path):
    assert keep_former_report(tmp_path / "new", FIGURES) is None
    assert not (tmp_path / "new").exists()


def test_the_same_figures_of_another_day_are_replaced(tmp_path):
    write(tmp_path, {**FIGURES, "date": "2026-11-25"}, "old")
    assert keep_former_report(tmp_path, FIGURES) is None
    assert names(tmp_path) == ["evaluation.json", "report.html"]


def test_each_report_of_other_figures_is_kept(tmp_path):
    for number in (1, 2, 3):
        write(tmp_path, {**FIGURES, "recall": number}, f"page {number}")
        kept = keep_former_report(tmp_path, FIGURES)
        assert kept.read_text() == f"page {number}"
        assert keep_former_report(tmp_path, FIGURES) == kept  # as after a killed evaluation
    assert json.loads((tmp_path / "evaluation.previous-3.json").read_text())["recall"] == 3
    assert (tmp_path / "report.previous.html").read_text() == "page 1"
    assert len(names(tmp_path)) == 8


def test_a_page_of_ones_own_is_kept(tmp_path):
    (tmp_path / "report.html").write_text("my own page")
    assert keep_former_report(tmp_path, FIGURES) == tmp_path / "report.previous.html"
    assert (tmp_path / "report.previous.html").read_text() == "my own page"


def test_a_file_that_is_no_json_object_is_kept(tmp_path):
    for text in ("{", "[1]", "\xff"):
        (tmp_path / "evaluation.json").write_bytes(text.encode("latin-1"))
        assert keep_former_report(tmp_path, FIGURES).read_bytes() == text.encode("latin-1")
