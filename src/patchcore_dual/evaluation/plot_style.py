"""How the reports' plots look: CSS variables for colours, the page's font for text."""

import io
import re
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Stand-ins that Matplotlib accepts as colours; `svg_of` puts the page's variables in their place.
_VARIABLES = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--line)",
    "#040404": "var(--good)",
    "#050505": "var(--defect)",
    **{f"#0606{i:02d}": f"var(--series-{i})" for i in range(1, 7)},
}
INK, MUTED, LINE, GOOD, DEFECT, *SERIES = _VARIABLES

STYLE: Any = {
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


def new_axes(
    x_label: str, y_label: str, size: tuple[float, float] = (4.6, 3.4)
) -> tuple[Figure, Axes]:
    """An empty plot; `size` in inches, of which the page takes the proportions."""
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid()
    return figure, axes


def svg_of(figure: Figure) -> str:
    """The figure as SVG to be placed in a page, which gives it colours and font."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format")))
    svg = buffer.getvalue()
    # HTML needs neither prologue nor name spaces, and the report names no address outside itself.
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    return svg
