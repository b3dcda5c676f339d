"""The style of all plots on pages: colours are CSS variables, and text takes the page's font."""

import io
import re
from functools import partial
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Placeholders that Matplotlib accepts as colours; `svg_of` replaces them by the page's variables.
_VARIABLES = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--line)",
    "#040404": "var(--normal)",
    "#050505": "var(--defect)",
    **{f"#0606{i:02d}": f"var(--series-{i})" for i in range(1, 7)},
}
INK, MUTED, LINE, NORMAL, DEFECT, *SERIES = _VARIABLES

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "patchcore-dual",
    "font.size": 9,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}

styled = partial(matplotlib.rc_context, _STYLE)
"""A context in which plots are drawn in this style."""


def new_axes(
    x_label: str, y_label: str, size: tuple[float, float] = (4.6, 3.4)
) -> tuple[Figure, Axes]:
    """An empty plot.

    Args:
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        size: width and height in inches; a page scales it, so only the proportions matter.
    """
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid()
    return figure, axes


def svg_of(figure: Figure) -> str:
    """The figure as SVG for a page, which gives it colours and font. Texts in it are escaped."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format")))
    svg = buffer.getvalue()
    # HTML needs neither prologue nor name spaces, and a page contains no address outside itself.
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    return svg
