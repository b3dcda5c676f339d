"""Time against bank size, and time against images."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from performance.cases import Found
from performance.ratios import fit_of

OURS, NEAR, ANOMALIB, FAISS = "#1668b8", "#6fb1e8", "#c2571a", "#6b7280"
LINE = "#d4d8de"


def search_plot(found: Found, file: Path) -> bool:
    """Milliseconds to search one image's patches, against vectors in the bank."""
    curves = {tool: found.get(f"search-curve-{tool}") for tool in ("ours", "approximate", "faiss")}
    if not all(curves.values()):
        return False
    figure, axes = _axes("vectors in the bank", "ms per image (median), search only")
    styles = {
        "ours": ("PatchCoreDual", OURS),
        "approximate": ("PatchCoreDual, approximate", NEAR),
        "faiss": ("faiss IndexFlatL2", FAISS),
    }
    for tool, curve in curves.items():
        points = curve["points"] if curve else []
        name, color = styles[tool]
        x, y = [p["bank"] for p in points], [p["p50"] for p in points]
        axes.plot(x, y, "o-", color=color, label=name)
    _save(figure, axes, file)
    return True


def fit_plot(found: Found, file: Path) -> bool:
    """Seconds to fit, against good images; the peers' as their own steps would add up."""
    fits = [f for name, f in found.items() if name.startswith("fit-curve") and "fit_s" in f]
    if not fits:
        return False
    figure, axes = _axes("good images", "seconds to fit, coreset rate 1 %")
    x = [fit["images"] for fit in fits]
    axes.plot(x, [fit["fit_s"] for fit in fits], "o-", color=OURS, label="PatchCoreDual")
    peers = {"anomalib": ANOMALIB, "inspection": FAISS}
    for tool, color in peers.items():
        peer = fit_of(found, tool, "A")
        if peer is None:
            continue
        name = {"anomalib": "anomalib", "inspection": "patchcore-inspection's procedure"}[tool]
        y = [_extrapolated(peer, images) for images in x]
        axes.plot(x, y, "--", color=color, label=f"{name} (estimated)")
    _save(figure, axes, file)
    return True


def _extrapolated(peer: dict, images: int, patches: int = 28 * 79) -> float:
    """Features cost so much an image pixel, and each of 1 % of all steps so much a patch."""
    share = images * patches / peer["patches"]
    return peer["features_s"] * share + peer["step_s"] * share * (0.01 * images * patches)


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y, xscale="log", yscale="log")
    axes.grid(color=LINE, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, axes: Axes, file: Path) -> None:
    axes.legend(frameon=False)
    figure.savefig(file, dpi=110)
