"""The tables of a protocol: cells with mean, spread, interval and difference to the baseline."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from patchcore_dual.experiments.bootstrap import Figure
from patchcore_dual.experiments.findings import PUBLISHED, Row
from patchcore_dual.experiments.protocols import THESIS

NAMES = {
    "image_auroc": ("Image AUROC", "how often a defective part outscores a good one"),
    "pixel_auroc": ("Pixel AUROC", "how often a defective pixel outscores a good one"),
    "image_ap": ("Image AP", "precision averaged over recall"),
    "aupro": ("AUPRO", "overlap per defect region, up to 30 % false positives"),
    "recall_at_fpr_01": ("Recall at 1 % false alarms", "read from the ROC curve"),
    "recall": ("Recall", "at the model's own threshold"),
    "false_alarm_rate": ("False-alarm rate", "at the model's own threshold"),
}
_LOWER_IS_BETTER = ("false_alarm_rate",)


@dataclass(frozen=True)
class Cell:
    """What is printed of a figure; empty where there is none.

    Attributes:
        sense: 1 or -1 where the interval of the difference lies wholly on the better or the worse
            side of zero, else 0.
        printed: the thesis's own figure.
    """

    mean: str = "–"
    interval: str = ""
    difference: str = ""
    sense: int = 0
    printed: str = ""

    @property
    def lines(self) -> list[str]:
        found = (self.mean, self.interval, self.difference, self.printed)
        return [line for line in found if line]


@dataclass(frozen=True)
class Table:
    """A table: `rows` are name, meaning and cells, one for each of `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, str, list[Cell]]]


def tables_of(target: str, rows: Sequence[Row], is_ksdd2: bool) -> list[Table]:
    """The tables of a protocol: one of all figures, or one for each figure by condition.

    With `is_ksdd2` the thesis's own figures stand below ours in its tables.
    """
    methods = tuple(dict.fromkeys(row.method for row in rows))
    conditions = list(dict.fromkeys(row.condition for row in rows))
    by_place = {(row.condition, row.method): row for row in rows}

    def cells(condition: str, field: str) -> list[Cell]:
        found = []
        for method in methods:
            row = by_place.get((condition, method))
            cell = cell_of(row, field) if row else Cell()
            found.append(_beside(cell, target, row, field) if row and is_ksdd2 else cell)
        return found

    fields = list(rows[0].figures)
    if target == "table1":
        return [Table("Table 1", methods, [(*NAMES[f], cells("", f)) for f in fields])]
    return [
        Table(NAMES[field][0], methods, [(c, "", cells(c, field)) for c in conditions])
        for field in fields
    ]


def _beside(cell: Cell, target: str, row: Row, field: str) -> Cell:
    """The cell with the thesis's own figure; its Table 2 is of its own reading."""
    if target == "table2" and row.condition != THESIS.name:
        return cell
    published = PUBLISHED.get(target, {}).get(row.method, {}).get(field)
    return cell if published is None else replace(cell, printed=f"thesis {published:.3f}")


def cell_of(row: Row, field: str) -> Cell:
    """One figure of a row."""
    figure, difference = row.figures[field], row.difference.get(field)
    if math.isnan(figure.mean):
        return Cell()
    mean = f"{figure.mean:.3f}"
    if not math.isnan(figure.deviation):
        mean += f" ± {figure.deviation:.3f}"
    if difference is None or math.isnan(difference.mean):
        return Cell(mean, _interval(figure))
    sense = 0
    if difference.low > 0 or difference.high < 0:
        sense = 1 if (difference.low > 0) != (field in _LOWER_IS_BETTER) else -1
    text = f"{difference.mean:+.3f} {_interval(difference, '+')}".rstrip()
    return Cell(mean, _interval(figure), text, sense)


def _interval(figure: Figure, sign: str = "") -> str:
    if math.isnan(figure.low):
        return ""
    return f"[{figure.low:{sign}.3f}, {figure.high:{sign}.3f}]"
