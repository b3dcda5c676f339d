"""The page on all products of a table: one HTML file without anything from a network."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from patchcore_dual.products.records import Figures
from patchcore_dual.products.table import Product
from patchcore_dual.scoring.operating_points import share
from patchcore_dual.scoring.thresholds import percent
from patchcore_dual.training.estimate import in_words
from patchcore_dual.utils.pages import page_environment, write_page

PAGE = "products.html"

Ended = Literal["fitted", "as before", "failed", "to come"]


@dataclass(frozen=True)
class Entry:
    """One product of the page.

    Attributes:
        product: its row in the table.
        ended: what became of it in this run, or before it.
        figures: of its model; None where there is none.
        error: why it failed.
    """

    product: Product
    ended: Ended
    figures: Figures | None = None
    error: str = ""


def write_report(entries: Sequence[Entry], report: Path, title: str, date: str) -> Path:
    """Write the page into a folder and return its path.

    Args:
        entries: in the order of the table.
        report: the folder, which is made where there is none.
        title: of the page.
        date: on which it was written, as text.
    """
    environment = page_environment()
    environment.filters |= {"share": share, "rate": percent, "duration": in_words}
    environment.filters["mib"] = lambda size: f"{size / 2**20:,.0f} MiB".replace(",", " ")
    path = report / PAGE
    html = environment.get_template(PAGE).render(
        title=title,
        date=date,
        entries=entries,
        headline=headline(entries),
        links={entry.product.key: _link(entry, report) for entry in entries},
    )
    write_page(path, html)
    return path


def headline(entries: Sequence[Entry]) -> str:
    """How many products ended how.

    >>> bolts = Product("bolts", Path("bolts"), Path("models/bolts"), 2)
    >>> headline([Entry(bolts, "failed", error="no images"), Entry(bolts, "as before")])
    '2 products: 1 fitted before, 1 failed.'
    """
    names = {"fitted": "fitted", "as before": "fitted before", "failed": "failed"}
    names["to come"] = "still to be fitted"
    counts = {name: sum(entry.ended == name for entry in entries) for name in names}
    parts = [f"{count} {names[name]}" for name, count in counts.items() if count]
    return f"{len(entries)} product{'s' * (len(entries) != 1)}: {', '.join(parts)}."


def _link(entry: Entry, report: Path) -> str:
    """The address of a model's folder, relative to the page where both are on one drive."""
    model = entry.product.model.absolute()
    try:
        return Path(os.path.relpath(model, report.absolute())).as_posix()
    except ValueError:  # another drive of Windows
        return model.as_uri()
