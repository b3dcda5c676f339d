"""The plots of protocols: few-shot curves, and paired differences to a baseline."""

from collections.abc import Sequence

import matplotlib
import numpy as np

from patchcore_dual.evaluation.plot_style import INK, LINE, SERIES, STYLE, new_axes, svg_of
from patchcore_dual.experiments.findings import Row
from patchcore_dual.experiments.tables import NAMES


def few_shot_plot(rows: Sequence[Row], field: str) -> str:
    """A figure against the number of defective training images, with its intervals."""
    counts = list(dict.fromkeys(row.condition for row in rows))
    with matplotlib.rc_context(STYLE):
        figure, axes = new_axes("Defective training images", NAMES[field][0])
        for color, method in zip(SERIES, _methods(rows), strict=False):
            points = [row for row in rows if row.method == method]
            x = [counts.index(row.condition) for row in points]
            figures = [row.figures[field] for row in points]
            low, high = [f.low for f in figures], [f.high for f in figures]
            axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
            axes.plot(x, [f.mean for f in figures], "o-", color=color, markersize=4, label=method)
        axes.set_xticks(range(len(counts)), counts)
        axes.legend(loc="lower right")
        return svg_of(figure)


def difference_plot(rows: Sequence[Row], field: str) -> str:
    """Paired differences to the baseline with their intervals, a line for each condition."""
    (baseline,) = {row.baseline for row in rows if row.difference}
    methods = _methods([row for row in rows if row.difference])
    places = list(dict.fromkeys(row.condition for row in rows))
    alone = places == [""]
    labels = methods if alone else places
    with matplotlib.rc_context(STYLE):
        size = (4.6, max(1.4, 0.9 + 0.42 * len(labels)))
        figure, axes = new_axes(f"{NAMES[field][0]}, difference to {baseline}", "", size)
        axes.grid(False, axis="y")
        axes.axvline(0, color=INK, linewidth=1)
        for i, (color, method) in enumerate(zip(SERIES[1:], methods, strict=False)):
            shift = 0.0 if alone else 0.24 * (i - (len(methods) - 1) / 2)
            own = [row for row in rows if row.method == method and field in row.difference]
            y = [-labels.index(row.method if alone else row.condition) - shift for row in own]
            means = np.array([row.difference[field].mean for row in own])
            axes.plot(means, y, "o", color=color, markersize=5, label=method)
            for place, row in zip(y, own, strict=True):
                apart = row.difference[field]
                axes.plot([apart.low, apart.high], [place, place], color=color)
        axes.locator_params(axis="x", nbins=5)
        axes.set_yticks([-i for i in range(len(labels))], labels)
        axes.set_ylim(-len(labels) + 0.4, 0.6)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.spines["left"].set_color(LINE)
        if not alone and len(methods) > 1:
            figure.legend(loc="outside upper left", ncols=len(methods))
        return svg_of(figure)


def gain_plot(rows: Sequence[Row], count: str, field: str) -> str:
    """What synthetic images bring against the number of real defects, a line for each generator.

    Args:
        rows: of the protocol "generators".
        count: which number of synthetic images, as the rows' conditions name it.
    """
    own = [row for row in rows if row.difference and row.condition.endswith(f", {count}")]
    places = list(dict.fromkeys(row.condition.split(" ")[0] for row in own))
    methods = _methods(own)
    with matplotlib.rc_context(STYLE):
        figure, axes = new_axes("Real defective training images", f"{NAMES[field][0]}, gain")
        axes.axhline(0, color=INK, linewidth=1)
        for i, (color, method) in enumerate(zip(SERIES, methods, strict=False)):
            points = [row for row in own if row.method == method]
            shift = 0.08 * (i - (len(methods) - 1) / 2)
            x = [places.index(row.condition.split(" ")[0]) + shift for row in points]
            gains = [row.difference[field] for row in points]
            axes.plot(x, [g.mean for g in gains], "o-", color=color, markersize=4, label=method)
            axes.vlines(x, [g.low for g in gains], [g.high for g in gains], color=color, alpha=0.5)
        axes.set_xticks(range(len(places)), places)
        figure.legend(loc="outside upper left", ncols=len(methods))
        return svg_of(figure)


def _methods(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.method for row in rows))
