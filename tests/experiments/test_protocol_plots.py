"""The plots of protocols: what stands where, whatever the labels are."""

import re

import pytest

from patchcore_dual.experiments.bootstrap import Figure
from patchcore_dual.experiments.protocol_plots import difference_plot, few_shot_plot, gain_plot
from patchcore_dual.experiments.result_rows import MEAN_OVER_KINDS, Row, RowCondition


def row(condition, method, mean, difference=None):
    figures = {"image_auroc": Figure(mean, 0.1, mean - 0.1, mean + 0.1)}
    if difference is None:
        return Row(condition, method, figures, "", {})
    apart = {"image_auroc": Figure(difference, 0.0, difference - 0.1, difference + 0.1)}
    return Row(condition, method, figures, "base", apart)


def texts(svg):
    return re.findall(r"<text[^>]*>(.*?)</text>", svg)


def heights(svg):
    """The y positions of the dots, in order."""
    return [float(y) for y in re.findall(r'<use [^>]*y="([\d.]+)"[^>]*series', svg)]


def test_few_shot_counts_are_on_the_axis_and_methods_in_the_legend():
    rows = [
        row(RowCondition(label, defects), method, 0.8)
        for label, defects in (("0", 0), ("5", 5), ("all", None))
        for method in ("PatchCore", "PatchCoreDual")
    ]
    shown = texts(few_shot_plot(rows, "image_auroc"))
    assert shown[: shown.index("Defective training images")] == ["0", "5", "all"]
    assert shown[-2:] == ["PatchCore", "PatchCoreDual"]
    assert "Image AUROC" in shown


def test_conditions_of_one_label_have_lines_of_their_own():
    kind = RowCondition("mean over kinds", left_out_kind="mean over kinds")
    rows = []
    for condition in (kind, MEAN_OVER_KINDS):
        rows += [row(condition, "base", 0.5), row(condition, "other", 0.7, 0.2)]
    svg = difference_plot(rows, "image_auroc")
    assert texts(svg).count("mean over kinds") == 2
    first, second = heights(svg)
    assert first < second


def test_one_condition_has_a_line_for_each_method():
    rows = [row(RowCondition(), "base", 0.5)]
    rows += [row(RowCondition(), name, 0.7, 0.2) for name in ("one", "two")]
    svg = difference_plot(rows, "image_auroc")
    assert {"one", "two", "Image AUROC", "difference to base"} <= set(texts(svg))
    assert len(set(heights(svg))) == 2


def test_the_axis_of_differences_is_not_cut_off_beside_long_names_of_methods():
    """Its label is centred on the whole figure, however narrow the axes are."""
    rows = [row(RowCondition(), "base", 0.5)]
    rows += [row(RowCondition(), "a method with a very long name, in full", 0.7, 0.2)]
    svg = difference_plot(rows, "image_auroc")
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
    tags = re.findall(r"<text ([^>]*)>(?:Image AUROC|difference to base)<", svg)
    assert len(tags) == 2
    for tag in tags:
        x = float(re.search(r'(?:x="|translate\()([\d.]+)', tag)[1])
        assert x == pytest.approx(width / 2, abs=width / 5)


def test_gains_are_of_the_synthetic_images_that_are_asked_for():
    rows = []
    for defects, label in ((1, "1"), (None, "all")):
        for synthetic in (50, 100):
            condition = RowCondition(f"{label} real, {synthetic} synthetic", defects, synthetic)
            rows += [row(condition, "base", 0.5), row(condition, f"of {synthetic}", 0.6, 0.1)]
    shown = texts(gain_plot(rows, 100, "image_auroc"))
    assert shown[: shown.index("Real defective training images")] == ["1", "all"]
    assert "of 100" in shown
    assert "of 50" not in shown
