"""The plots of protocols: few-shot curves, and paired differences to a baseline."""

from collections.abc import Sequence

import numpy as np

from patchcore_dual.evaluation.metric_labels import METRICS
from patchcore_dual.evaluation.plot_style import INK, LINE, MUTED, SERIES, new_axes, styled, svg_of
from patchcore_dual.experiments.result_rows import Row


def few_shot_plot(rows: Sequence[Row], field: str) -> str:
    """SVG of a figure against the number of defective training images, with its intervals."""
    counts = list(dict.fromkeys(row.condition for row in rows))
    with styled():
        figure, axes = new_axes("Defective training images", METRICS[field].name)
        for color, method in zip(SERIES, _methods(rows), strict=False):
            points = [row for row in rows if row.method == method]
            x = [counts.index(row.condition) for row in points]
            figures = [row.figures[field] for row in points]
            low, high = [f.low for f in figures], [f.high for f in figures]
            axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
            axes.plot(x, [f.mean for f in figures], "o-", color=color, markersize=4, label=method)
        axes.set_xticks(range(len(counts)), [condition.label for condition in counts])
        axes.legend(loc="lower right")
        return svg_of(figure)


def difference_plot(rows: Sequence[Row], field: str) -> str:
    """SVG of paired differences to the baseline with their intervals, a line per condition."""
    (baseline,) = {row.baseline for row in rows if row.difference}
    methods = _methods([row for row in rows if row.difference])
    conditions = list(dict.fromkeys(row.condition for row in rows))
    alone = len(conditions) == 1  # a line for each method instead
    labels = methods if alone else [condition.label for condition in conditions]
    with styled():
        size = (4.6, max(1.4, 0.9 + 0.42 * len(labels)))
        figure, axes = new_axes("", "", size)
        # Of the figure and in two lines: below narrow axes it would be cut off at the edge.
        figure.supxlabel(
            f"{METRICS[field].name}\ndifference to {baseline}", fontsize=9, color=MUTED
        )
        axes.grid(False, axis="y")
        axes.axvline(0, color=INK, linewidth=1)
        for i, (color, method) in enumerate(zip(SERIES[1:], methods, strict=False)):
            shift = 0.0 if alone else 0.24 * (i - (len(methods) - 1) / 2)
            own = [row for row in rows if row.method == method and field in row.difference]
            line = [methods.index(method) if alone else conditions.index(r.condition) for r in own]
            y = [-i - shift for i in line]
            means = np.array([row.difference[field].mean for row in own])
            axes.plot(means, y, "o", color=color, markersize=5, label=method)
            for place, row in zip(y, own, strict=True):
                difference = row.difference[field]
                axes.plot([difference.low, difference.high], [place, place], color=color)
        axes.locator_params(axis="x", nbins=5)
        axes.set_yticks([-i for i in range(len(labels))], labels)
        axes.set_ylim(-len(labels) + 0.4, 0.6)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.spines["left"].set_color(LINE)
        if not alone and len(methods) > 1:
            figure.legend(loc="outside upper left", ncols=len(methods))
        return svg_of(figure)


def gain_plot(rows: Sequence[Row], synthetic: int, field: str) -> str:
    """SVG of the gain from synthetic images by number of real defects, a line per generator.

    Args:
        rows: of the protocol "generators".
        synthetic: which number of synthetic images.
        field: of `Evaluation`.
    """
    own = [row for row in rows if row.difference and row.condition.synthetic == synthetic]
    counts = list(dict.fromkeys(row.condition.defects for row in own))
    methods = _methods(own)
    with styled():
        figure, axes = new_axes("Real defective training images", f"{METRICS[field].name}, gain")
        axes.axhline(0, color=INK, linewidth=1)
        for i, (color, method) in enumerate(zip(SERIES, methods, strict=False)):
            points = [row for row in own if row.method == method]
            shift = 0.08 * (i - (len(methods) - 1) / 2)
            x = [counts.index(row.condition.defects) + shift for row in points]
            gains = [row.difference[field] for row in points]
            axes.plot(x, [g.mean for g in gains], "o-", color=color, markersize=4, label=method)
            axes.vlines(x, [g.low for g in gains], [g.high for g in gains], color=color, alpha=0.5)
        axes.set_xticks(range(len(counts)), ["all" if n is None else str(n) for n in counts])
        figure.legend(loc="outside upper left", ncols=len(methods))
        return svg_of(figure)


def _methods(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.method for row in rows))
