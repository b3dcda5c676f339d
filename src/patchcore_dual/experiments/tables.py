"""The tables of a protocol: cells with mean, spread, interval and difference to the baseline."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from patchcore_dual.evaluation.metric_labels import METRICS
from patchcore_dual.experiments.bootstrap import Figure
from patchcore_dual.experiments.protocols import THESIS
from patchcore_dual.experiments.published import PUBLISHED
from patchcore_dual.experiments.result_rows import Row, RowCondition


@dataclass(frozen=True)
class Cell:
    """The texts of one figure; empty where there is none.

    Attributes:
        mean: with the standard deviation over seeds, where there are several.
        interval: of the mean.
        difference: to the baseline, with its interval.
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
        """The texts that are not empty, from top to bottom."""
        texts = (self.mean, self.interval, self.difference, self.printed)
        return [text for text in texts if text]


@dataclass(frozen=True)
class Table:
    """A table: `rows` are name, meaning and cells, one for each of `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, str, list[Cell]]]


def tables_of(target: str, rows: Sequence[Row], is_ksdd2: bool) -> list[Table]:
    """The tables of a protocol: one of all figures, or one for each figure by condition.

    Args:
        target: name of the protocol.
        rows: its results.
        is_ksdd2: whether the thesis's own figures are set below ours.
    """
    methods = tuple(dict.fromkeys(row.method for row in rows))
    conditions = list(dict.fromkeys(row.condition for row in rows))
    by_place = {(row.condition, row.method): row for row in rows}

    def cells(condition: RowCondition, field: str) -> list[Cell]:
        made = []
        for method in methods:
            row = by_place.get((condition, method))
            cell = cell_of(row, field) if row else Cell()
            made.append(_beside(cell, target, row, field) if row and is_ksdd2 else cell)
        return made

    metrics = [METRICS[field] for field in rows[0].figures]
    if target == "table1":
        (condition,) = conditions
        return [
            Table(
                "Table 1",
                methods,
                [(m.name, m.meaning, cells(condition, m.field)) for m in metrics],
            )
        ]
    return [
        Table(m.name, methods, [(c.label, "", cells(c, m.field)) for c in conditions])
        for m in metrics
    ]


def _beside(cell: Cell, target: str, row: Row, field: str) -> Cell:
    """The cell with the thesis's own figure; its Table 2 is of its own rule."""
    if target == "table2" and row.condition.label != THESIS.name:
        return cell
    published = PUBLISHED.get(target, {}).get(row.method, {}).get(field)
    return cell if published is None else replace(cell, printed=f"thesis {published:.3f}")


def cell_of(row: Row, field: str) -> Cell:
    """The texts of one figure of a row."""
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
        sense = 1 if (difference.low > 0) != METRICS[field].lower_is_better else -1
    text = f"{difference.mean:+.3f} {_interval(difference, '+')}".rstrip()
    return Cell(mean, _interval(figure), text, sense)


def _interval(figure: Figure, sign: str = "") -> str:
    if math.isnan(figure.low):
        return ""
    return f"[{figure.low:{sign}.3f}, {figure.high:{sign}.3f}]"
