"""The page of a protocol: tables, plots and what it was measured on, in one HTML file."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation import protocol_plots
from patchcore_dual.evaluation.bootstrap import REPLICATES
from patchcore_dual.evaluation.figures import png
from patchcore_dual.evaluation.findings import MEAN_OVER_KINDS, PUBLISHED, Row
from patchcore_dual.evaluation.protocols import PATCHCORE, RECOMMENDED, groups_of
from patchcore_dual.evaluation.report import environment, write_page
from patchcore_dual.evaluation.reproduce import Plan
from patchcore_dual.evaluation.tables import NAMES, cell_of, tables_of
from patchcore_dual.files import write_atomically
from patchcore_dual.images.manifest import Manifest

TITLES = {
    "table1": "Table 1",
    "few-shot": "With few defective training images",
    "unseen-kinds": "Kinds of defect that were not taught",
}
_INTERVALS = (
    "Mean ± standard deviation over seeds. In brackets the interval that holds 95 % of "
    f"{REPLICATES} bootstrap draws of groups (parts, tiles) from the test images. Signed figures "
    "are paired differences to PatchCore on the same images; they are coloured where their "
    "interval lies on one side of zero."
)

_DIAG = (
    "With synthetic defects (DIAG) the thesis printed image AUROC {image_auroc:.3f}, "
    "pixel AUROC {pixel_auroc:.3f}."
).format(**PUBLISHED["PatchCoreDual with DIAG"])
_HEAT = (
    "Heat maps are scaled by each model itself: nothing at what good surface typically shows, half "
    "way at its own pixel threshold. Below each: image score / threshold, verdict; green where it "
    "is right."
)


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
    if target != "table1":
        return [_INTERVALS]
    printed = [_DIAG] if is_ksdd2 else []
    return [_INTERVALS + " AUPRO has no interval, only its spread.", *printed]


def headline(target: str, rows: Sequence[Row]) -> str:
    """What the recommended rule did beside PatchCore, in a sentence."""
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


def _plots(target: str, rows: Sequence[Row]) -> list[tuple[str, str, Markup]]:
    found = []
    for field in ("image_auroc", "image_ap", "recall_at_fpr_01"):
        name = NAMES[field][0]
        if target == "few-shot":
            svg = protocol_plots.few_shot_plot(rows, field)
            found.append((name, "The more defects are taught; 95 % intervals.", Markup(svg)))
        else:
            svg = protocol_plots.difference_plot(rows, field)
            caption = "Difference to PatchCore on the same images; right of zero is better."
            found.append((name, caption, Markup(svg)))
    return found


def write_figure(
    picture: NDArray[np.uint8], names: Sequence[str], facts: Mapping[str, object], folder: Path
) -> Path:
    """Write `figure5.png` and its page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    data = png(picture)
    write_atomically(folder / "figure5.png", data)
    path = folder / "figure5.html"
    html = (
        environment()
        .get_template("protocol.html")
        .render(
            title=f"{facts['Data set']}: Figure 5",
            headline="What each method sees, beside the truth.",
            tables=[],
            picture=base64.b64encode(data).decode(),
            notes=[_HEAT, "Images: " + ", ".join(names)],
            plots=[],
            facts=facts,
        )
    )
    write_page(path, html)
    return path


def facts_of(plan: Plan, manifest: Manifest, detector: PatchCoreDual) -> dict[str, object]:
    """What a page says of where its figures come from."""
    splits = {
        "official": "the prepared one, fit seeds vary",
        "group": "by group, another for each seed",
    }
    size = manifest.size()
    facts: dict[str, object] = {
        "Data set": manifest.folder.resolve().name,
        "Images": len(manifest),
        "Defective": len(manifest.part(label="positive")),
        "Groups": len(set(groups_of(manifest).values())),
        "Split": splits[plan.splits],
        "Seeds": 1 if plan.target == "figure5" else plan.seeds,
        "Backbone": detector.backbone.name,
        "Weights (sha256)": detector.backbone.weights_sha256[:12],
        "Image size": f"{size[0]}x{size[1]}" if size else "native",
    }
    if plan.target == "few-shot":
        facts["Draws of each count"] = plan.draws
    return facts
