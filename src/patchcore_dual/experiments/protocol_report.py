"""The page of a protocol or figure: tables, plots and how they were made, in one HTML file."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.evaluation.metric_labels import METRICS
from patchcore_dual.experiments import protocol_plots
from patchcore_dual.experiments.bootstrap import REPLICATES
from patchcore_dual.experiments.protocols import PATCHCORE, RECOMMENDED, WITHOUT
from patchcore_dual.experiments.published import PUBLISHED
from patchcore_dual.experiments.reproduce import Plan
from patchcore_dual.experiments.result_rows import BASELINES, MEAN_OVER_KINDS, Row, RowCondition
from patchcore_dual.experiments.tables import cell_of, tables_of
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.pages import page_environment, write_page
from patchcore_dual.utils.pictures import png_bytes

TITLES = {
    "table1": "Table 1",
    "table2": "Table 2, number of synthetic defects",
    "generators": "What synthetic defects bring",
    "figure1": "Figure 1",
    "figure5": "Figure 5",
    "few-shot": "With few defective training images",
    "unseen-kinds": "Kinds of defect that are not in training",
}
_INTERVALS = (
    "Mean ± standard deviation over seeds. In brackets: 95 % percentile interval of "
    f"{REPLICATES} bootstrap draws of groups (parts, tiles) of the test images. Signed figures "
    "are paired differences to {baseline} on the same images; they are coloured where their "
    "interval lies on one side of zero."
)

_PRINTED = {
    "table1": (
        "The thesis's figures are of ResNet-50. With synthetic defects (DIAG) it printed image "
        "AUROC {image_auroc:.3f}, pixel AUROC {pixel_auroc:.3f}."
    ).format(**PUBLISHED["table1"]["PatchCoreDual with DIAG"]),
    "table2": "The thesis's figures are of ResNet-50, and its synthetic defects are DIAG's.",
}
_CAPTIONS = {
    "figure1": (
        "Below each image the content of its frame: a defect and its surroundings, or the centre "
        "of a normal part. Normal parts and real defects are training images."
    ),
    "figure5": (
        "Each heat map is on its model's own scale: empty at the median value of normal surface, "
        "half way at the model's pixel threshold. Below each: image score / threshold, verdict; "
        "green where the verdict is right."
    ),
}
_HEADLINES = {
    "figure1": "Synthetic defects of each generator, beside real ones.",
    "figure5": "The heat maps of each method, beside the ground truth.",
}


def write_protocol(
    plan: Plan,
    rows: Sequence[Row],
    facts: Mapping[str, object],
    is_ksdd2: bool,
    folder: Path,
) -> Path:
    """Write the page of a protocol into a folder.

    Args:
        plan: which protocol was run, and on which splits.
        rows: its results.
        facts: how the figures were made, as name and value; see `facts_of`.
        is_ksdd2: whether the thesis's own figures are set beside ours.
        folder: made where there is none.

    Returns:
        The path of the page, which is named after the protocol.
    """
    path = folder / f"{plan.target}.html"
    html = (
        page_environment()
        .get_template("protocol.html")
        .render(
            title=f"{facts['Data set']}: {TITLES[plan.target]}",
            headline=headline(plan.target, rows),
            tables=tables_of(plan.target, rows, is_ksdd2),
            picture="",
            notes=_notes(plan.target, is_ksdd2),
            plots=_plots(plan.target, rows),
            facts=facts,
        )
    )
    write_page(path, html)
    return path


def _notes(target: str, is_ksdd2: bool) -> list[str]:
    baseline = "the same without synthetic images"
    if BASELINES[target] == PATCHCORE.name:
        baseline = PATCHCORE.name
    notes = [_INTERVALS.format(baseline=baseline)]
    if target in ("table1", "table2"):
        notes[0] += " AUPRO has no interval, only its spread."
    return [*notes, *([_PRINTED[target]] if is_ksdd2 and target in _PRINTED else [])]


def headline(target: str, rows: Sequence[Row]) -> str:
    """The main result in a sentence: the recommended rule beside what it is compared to."""
    if target in ("table2", "generators"):
        return _gains(target, rows)
    condition, where = rows[-1].condition, ""
    if target == "few-shot":
        where = " with all defects"
    if target == "unseen-kinds":
        condition, where = MEAN_OVER_KINDS, " on kinds that are not in training"
    own = _by_method(rows, condition)
    row, baseline = own[RECOMMENDED.name], own[PATCHCORE.name]
    cell = cell_of(row, "image_auroc")
    return (
        f"Image AUROC{where}: {row.figures['image_auroc'].mean:.3f} against PatchCore's "
        f"{baseline.figures['image_auroc'].mean:.3f}, difference {cell.difference}."
    )


def _gains(target: str, rows: Sequence[Row]) -> str:
    """What synthetic images add to the recommended rule; with the fewest real defects above 0."""
    if target == "table2":
        (condition,) = {r.condition for r in rows if r.condition.label == RECOMMENDED.name}
        field, where = "image_auroc", ""
    else:
        some = [row.condition for row in rows if row.condition.defects != 0]
        condition = [c for c in some if c.defects == some[0].defects][-1]
        field, where = "image_ap", f", {condition.label}"
    own = _by_method(rows, condition)
    without = own.pop(WITHOUT)
    gains = "; ".join(f"{m} {cell_of(row, field).difference}" for m, row in own.items())
    name = METRICS[field].name
    return f"{name}{where}: {without.figures[field].mean:.3f} without synthetic images; {gains}."


def _by_method(rows: Sequence[Row], condition: RowCondition) -> dict[str, Row]:
    return {row.method: row for row in rows if row.condition == condition}


def _plots(target: str, rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Title, caption and SVG of each plot."""
    if target == "generators":
        counts = dict.fromkeys(row.condition.synthetic for row in rows)
        caption = "Image AP, difference to the same real defects alone; 95 % intervals."
        return [
            (f"{n} synthetic images", caption, protocol_plots.gain_plot(rows, n, "image_ap"))
            for n in counts
            if n is not None
        ]
    plots = []
    for field in ("image_auroc", "image_ap", "recall_at_fpr_01"):
        if target == "few-shot":
            svg = protocol_plots.few_shot_plot(rows, field)
            caption = "By number of defective training images; 95 % intervals."
        else:
            svg = protocol_plots.difference_plot(rows, field)
            caption = "Paired differences on the same images; right of zero is better."
        plots.append((METRICS[field].name, caption, svg))
    return plots


def write_figure(
    target: str,
    picture: NDArray[np.uint8],
    names: Sequence[str],
    facts: Mapping[str, object],
    folder: Path,
) -> Path:
    """Write a figure as a PNG file and its page into a folder.

    Args:
        target: name of the figure; both files are named after it.
        picture: uint8 `[h, w, 3]`, RGB.
        names: of its rows, from top to bottom.
        facts: how it was made, as name and value; see `facts_of`.
        folder: made where there is none.

    Returns:
        The path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = png_bytes(picture)
    write_atomically(folder / f"{target}.png", data)
    path = folder / f"{target}.html"
    html = (
        page_environment()
        .get_template("protocol.html")
        .render(
            title=f"{facts['Data set']}: {TITLES[target]}",
            headline=_HEADLINES[target],
            tables=[],
            picture=base64.b64encode(data).decode(),
            notes=[_CAPTIONS[target], "Rows: " + ", ".join(names)],
            plots=[],
            facts=facts,
        )
    )
    write_page(path, html)
    return path
