"""The plots of a report, as SVG text for an HTML page.

Colours are CSS variables of the page (`base.html`), so that a plot follows its light or dark theme.
Curves with a class missing are left empty.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from patchcore_dual.evaluation.metrics import precision_recall_curve, roc_curve
from patchcore_dual.evaluation.plot_style import (
    DEFECT,
    INK,
    LINE,
    NORMAL,
    SERIES,
    new_axes,
    styled,
    svg_of,
)
from patchcore_dual.evaluation.results import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Above these ratios of the largest to the usual value, an axis is logarithmic.
_LOG_COUNT_RATIO = 20
_LOG_SCORE_RATIO = 30


def roc_plot(evaluations: Mapping[str, Evaluation]) -> str:
    """Recall against false-alarm rate, each model's own operating point marked."""
    with styled():
        figure, axes = _unit_square("False-alarm rate", "Recall")
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle=(0, (4, 4)))
        for (name, e), color in zip(evaluations.items(), _cycled(evaluations), strict=True):
            rates, recalls, _ = roc_curve(e.scores, e.labels)
            axes.plot(rates, recalls, color=color, label=name)
            _mark(axes, e.false_alarm_rate, e.recall, color)
        if len(evaluations) > 1:
            axes.legend(loc="lower right")
        return svg_of(figure)


def precision_recall_plot(evaluations: Mapping[str, Evaluation]) -> str:
    """Precision against recall, each model's own operating point marked."""
    with styled():
        figure, axes = _unit_square("Recall", "Precision")
        for (name, e), color in zip(evaluations.items(), _cycled(evaluations), strict=True):
            precisions, recalls, _ = precision_recall_curve(e.scores, e.labels)
            axes.plot(recalls, precisions, color=color, label=name)
            n_rejected = e.count("found") + e.count("false alarm")
            if n_rejected:
                _mark(axes, e.recall, e.count("found") / n_rejected, color)
        if len(evaluations) > 1:
            axes.legend(loc="lower left")
        return svg_of(figure)


def histogram_plot(evaluation: Evaluation) -> str:
    """Histogram of the image scores of normal and defective parts, with the model's threshold."""
    scores, labels = evaluation.scores, evaluation.labels
    with styled():
        figure, axes = new_axes("Image score", "Images")
        log_scores = _spans_decades(scores)
        edges = _edges(np.append(scores, evaluation.threshold), log_scores)
        tallest = 0
        for name, chosen, color in (("normal", ~labels, NORMAL), ("defective", labels, DEFECT)):
            counts, _ = np.histogram(scores[chosen], edges)
            axes.stairs(counts, edges, fill=True, color=color, alpha=0.35, label=name)
            axes.stairs(counts, edges, color=color, linewidth=1.4)
            tallest = max(tallest, int(counts.max()))
        axes.axvline(evaluation.threshold, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
        axes.annotate(
            "threshold",
            (evaluation.threshold, 1),
            (5, -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
        )
        if log_scores:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if tallest > _LOG_COUNT_RATIO:
            axes.set_yscale("log")
            axes.set_ylim(0.7, None)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        else:
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(loc="upper right")
        return svg_of(figure)


def kinds_plot(evaluation: Evaluation) -> str:
    """Recall of each kind of defect at the model's own threshold, the lowest first."""
    kinds = sorted(evaluation.kinds.items(), key=lambda item: item[1].recall)
    with styled():
        figure, axes = new_axes("Recall at the model's threshold", "")
        axes.grid(False, axis="y")
        rows = range(len(kinds) - 1, -1, -1)
        axes.barh(rows, [1] * len(kinds), height=0.5, color=LINE, alpha=0.5)
        axes.barh(rows, [k.recall for _, k in kinds], height=0.5, color=DEFECT)
        axes.set_yticks(rows, [name for name, _ in kinds])
        for row, (_, kind) in zip(rows, kinds, strict=True):
            axes.text(1.02, row, f"{round(kind.recall * kind.n)} of {kind.n}", va="center")
        axes.set_xlim(0, 1)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        return svg_of(figure)


def _unit_square(x_label: str, y_label: str) -> "tuple[Figure, Axes]":
    figure, axes = new_axes(x_label, y_label)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    return figure, axes


def _mark(axes: "Axes", x: float, y: float, color: str) -> None:
    axes.plot([x], [y], "o", color=color, markersize=8, markeredgecolor=INK, markeredgewidth=1.4)


def _cycled(evaluations: Mapping[str, Evaluation]) -> list[str]:
    return [SERIES[i % len(SERIES)] for i in range(len(evaluations))]


def _spans_decades(scores: NDArray[np.float64]) -> bool:
    return bool(scores.min() > 0 and scores.max() > _LOG_SCORE_RATIO * np.median(scores))


def _edges(values: NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    low, high = values.min(), values.max()
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.geomspace(low, high, 41) if log and low > 0 else np.linspace(low, high, 41)
