"""The page of a protocol: tables, plots and what it was measured on, in one HTML file."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.report import environment, write_page
from patchcore_dual.experiments import protocol_plots
from patchcore_dual.experiments.bootstrap import REPLICATES
from patchcore_dual.experiments.findings import BASELINES, MEAN_OVER_KINDS, PUBLISHED, Row
from patchcore_dual.experiments.pictures import png
from patchcore_dual.experiments.protocols import PATCHCORE, RECOMMENDED, WITHOUT, groups_of
from patchcore_dual.experiments.reproduce import FIGURES, Plan
from patchcore_dual.experiments.synthetic_source import display_name
from patchcore_dual.experiments.tables import NAMES, cell_of, tables_of
from patchcore_dual.utils.files import write_atomically

TITLES = {
    "table1": "Table 1",
    "table2": "Table 2, number of synthetic defects",
    "generators": "What synthetic defects bring",
    "figure1": "Figure 1",
    "figure5": "Figure 5",
    "few-shot": "With few defective training images",
    "unseen-kinds": "Kinds of defect that were not taught",
}
_INTERVALS = (
    "Mean ± standard deviation over seeds. In brackets the interval that holds 95 % of "
    f"{REPLICATES} bootstrap draws of groups (parts, tiles) from the test images. Signed figures "
    "are paired differences to {baseline} on the same images; they are coloured where their "
    "interval lies on one side of zero."
)

_PRINTED = {
    "table1": (
        "With synthetic defects (DIAG) the thesis printed image AUROC {image_auroc:.3f}, "
        "pixel AUROC {pixel_auroc:.3f}."
    ).format(**PUBLISHED["table1"]["PatchCoreDual with DIAG"]),
    "table2": "The thesis's synthetic defects are DIAG's.",
}
_CAPTIONS = {
    "figure1": (
        "Below each image what its frame holds: a defect and its surroundings, or the middle of a "
        "good part. Good parts and real defects are training images."
    ),
    "figure5": (
        "Heat maps are scaled by each model itself: nothing at what good surface typically shows, "
        "half way at its own pixel threshold. Below each: image score / threshold, verdict; green "
        "where it is right."
    ),
}
_HEADLINES = {
    "figure1": "What each generator makes, beside the real thing.",
    "figure5": "What each method sees, beside the truth.",
}


def write_protocol(
    plan: Plan,
    rows: Sequence[Row],
    facts: Mapping[str, object],
    is_ksdd2: bool,
    folder: Path,
) -> Path:
    """Write the protocol's page, named after it, into a folder.

    Args:
        facts: what the figures were measured on, as name and value.
        is_ksdd2: set the thesis's own figures beside ours.
    """
    path = folder / f"{plan.target}.html"
    html = (
        environment()
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
    """What came out, in a sentence: for the recommended rule, beside what it is compared to."""
    if target in ("table2", "generators"):
        return _gains(target, rows)
    condition = {"unseen-kinds": MEAN_OVER_KINDS}.get(target, rows[-1].condition)
    own = {row.method: row for row in rows if row.condition == condition}
    row = own[RECOMMENDED.name]
    cell = cell_of(row, "image_auroc")
    where = {"unseen-kinds": " on kinds that were not taught", "table1": ""}.get(
        target, " with all defects"
    )
    return (
        f"Image AUROC{where}: {row.figures['image_auroc'].mean:.3f} against PatchCore's "
        f"{own[PATCHCORE.name].figures['image_auroc'].mean:.3f}, difference {cell.difference}."
    )


def _gains(target: str, rows: Sequence[Row]) -> str:
    """What synthetic images bring the recommended rule; with the fewest real defects above none."""
    if target == "table2":
        condition, field, where = RECOMMENDED.name, "image_auroc", ""
    else:
        some = [row.condition for row in rows if not row.condition.startswith("0 ")]
        real = some[0].split(",")[0]
        condition = [c for c in some if c.startswith(f"{real},")][-1]
        field, where = "image_ap", f", {condition}"
    own = {row.method: row for row in rows if row.condition == condition}
    without = own.pop(WITHOUT)
    gains = "; ".join(f"{m} {cell_of(row, field).difference}" for m, row in own.items())
    name = NAMES[field][0]
    return f"{name}{where}: {without.figures[field].mean:.3f} without synthetic images; {gains}."


def _plots(target: str, rows: Sequence[Row]) -> list[tuple[str, str, Markup]]:
    if target == "generators":
        counts = dict.fromkeys(row.condition.split(", ")[1] for row in rows)
        caption = "Image AP, difference to the same real defects alone; 95 % intervals."
        return [
            (f"{n} images", caption, Markup(protocol_plots.gain_plot(rows, n, "image_ap")))
            for n in counts
        ]
    found = []
    for field in ("image_auroc", "image_ap", "recall_at_fpr_01"):
        name = NAMES[field][0]
        if target == "few-shot":
            svg = protocol_plots.few_shot_plot(rows, field)
            found.append((name, "The more defects are taught; 95 % intervals.", Markup(svg)))
        else:
            svg = protocol_plots.difference_plot(rows, field)
            caption = "Paired differences on the same images; right of zero is better."
            found.append((name, caption, Markup(svg)))
    return found


def write_figure(
    target: str,
    picture: NDArray[np.uint8],
    names: Sequence[str],
    facts: Mapping[str, object],
    folder: Path,
) -> Path:
    """Write a figure and its page, named after it, into a folder.

    Args:
        names: what it shows, from top to bottom.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = png(picture)
    write_atomically(folder / f"{target}.png", data)
    path = folder / f"{target}.html"
    html = (
        environment()
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


def facts_of(
    plan: Plan, manifest: Manifest, detector: PatchCoreDual | None = None
) -> dict[str, object]:
    """What a page says of where its figures come from.

    Args:
        detector: None for a figure that shows images alone.
    """
    splits = {
        "official": "the prepared one, fit seeds vary",
        "group": "by group, another for each seed",
    }
    real, size = manifest.real(), manifest.size()
    facts: dict[str, object] = {
        "Data set": manifest.folder.resolve().name,
        "Images": len(real),
        "Defective": len(real.part(label="positive")),
        "Groups": len(set(groups_of(real).values())),
        "Split": splits[plan.splits],
        "Seeds": 1 if plan.target in FIGURES else plan.seeds,
    }
    if detector is not None:
        facts["Backbone"] = detector.backbone.name
        facts["Weights (sha256)"] = detector.backbone.weights_sha256[:12]
    facts["Image size"] = f"{size[0]}x{size[1]}" if size else "native"
    if plan.target == "few-shot":
        facts["Draws of each count"] = plan.draws
    own = list(manifest.synthetic())
    if plan.target in ("table1", "table2", "figure5"):
        own = [s for s in own if s.origin == plan.generator]
        source = "the prepared set's where it has enough, else made" if own else "made"
        facts["Synthetic defects"] = f"{display_name(plan.generator)}, {source} for each split"
    if plan.target in ("table1", "table2", *FIGURES) and any(s.used_test_mask for s in own):
        facts["Caution"] = "masks of test defects were used: figures with them are flattered"
    return facts
