"""The page of a protocol: tables, plots and what it was measured on, in one HTML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from patchcore_dual.evaluation import protocol_plots
from patchcore_dual.evaluation.bootstrap import REPLICATES
from patchcore_dual.evaluation.findings import MEAN_OVER_KINDS, Row
from patchcore_dual.evaluation.protocols import PATCHCORE, RECOMMENDED
from patchcore_dual.evaluation.report import environment, write_page
from patchcore_dual.evaluation.reproduce import Plan
from patchcore_dual.evaluation.tables import NAMES, cell_of, tables_of

TITLES = {
    "table1": "Table 1",
    "few-shot": "With few defective training images",
    "unseen-kinds": "Kinds of defect that were not taught",
}
_INTERVALS = (
    "Mean ± standard deviation over seeds. In brackets the interval that holds 95 % of "
    f"{REPLICATES} bootstrap draws of groups (parts, tiles) from the test images. Signed figures "
    "are paired differences to PatchCore on the same images; they are coloured where their "
    "interval lies on one side of zero. The pixel figures have no interval: only their spread."
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
            notes=[_INTERVALS],
            plots=_plots(plan.target, rows),
            facts=facts,
        )
    )
    write_page(path, html)
    return path


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


def facts_of(
    plan: Plan, manifest_name: str, groups: int, about: Mapping[str, object]
) -> dict[str, object]:
    """What a page says of where its figures come from."""
    splits = {
        "official": "the prepared one, fit seeds vary",
        "group": "by group, another for each seed",
    }
    facts: dict[str, object] = {
        "Data set": manifest_name,
        "Split": splits[plan.splits],
        "Seeds": plan.seeds,
        "Groups": groups,
        "Backbone": about["backbone"],
        "Weights (sha256)": str(about["weights_sha256"])[:12],
        "Image size": about["size"],
    }
    if plan.target == "few-shot":
        facts["Draws of each count"] = plan.draws
    return facts
