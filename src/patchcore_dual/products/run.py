"""Fitting all products of a table that are not finished, and writing the page as they end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from patchcore_dual.data.listing import printable
from patchcore_dual.products.fitting import FitCommand, Outcome, fit_product
from patchcore_dual.products.records import FOLDER, Figures, Records, State
from patchcore_dual.products.report import Entry, write_report
from patchcore_dual.products.table import Product
from patchcore_dual.utils.checkpoint import writing_explained
from patchcore_dual.utils.executor import Executor, Lost
from patchcore_dual.utils.locking import locked


def make_fit() -> Callable[[FitCommand], Outcome]:
    """What a worker does with a product."""
    return fit_product


def fit_products(
    products: Sequence[Product],
    command_of: Callable[[Product, bool], FitCommand],
    report: Path,
    executor: Executor,
    *,
    title: str,
    overwrite: bool,
    on_entry: Callable[[Entry, int], None],
) -> tuple[list[Entry], Path]:
    """Fit all products that are not finished; a second run after an interrupted one does the rest.

    Args:
        products: the rows of the table.
        command_of: how to fit a product, and whether a model that is there may be replaced.
        report: the folder of the page and of the records.
        executor: fits as many at once as it has workers.
        title: of the page.
        overwrite: fit again where the row or the images have changed.
        on_entry: called with each product that is fitted or fails, and how many have ended.

    Returns:
        What became of each product, in the order of the table, and the path of the page.

    Raises:
        DataError: where the report cannot be written, or is in use.
    """
    with _records(report) as records:
        entries: dict[str, Entry] = {}
        to_fit: list[Product] = []
        commands: list[FitCommand] = []
        for product in products:
            state = records.state(product)
            if state.name == "finished":
                entry = Entry(product, "as before", state.figures)
            elif state.name == "changed" and not overwrite:
                entry = Entry(product, "failed", error=_changed(product, state))
            else:
                entry = Entry(product, "to come")
                to_fit.append(product)
                commands.append(command_of(product, overwrite or state.is_saved))
            entries[product.key] = entry
        ended = len(products) - len(to_fit)
        for entry in entries.values():
            if entry.ended == "failed":
                on_entry(entry, ended)
        page = _write(entries, report, title)
        for product in to_fit:
            records.begin(product)
        for number, outcome in executor.map(make_fit, commands):
            product = to_fit[number]
            if isinstance(outcome, Lost):
                entry = Entry(product, "failed", error=f"its worker ended: {outcome.reason}")
            elif outcome.described is None:
                entry = Entry(product, "failed", error=outcome.error)
            else:
                figures = Figures.of(outcome.described, outcome.seconds, outcome.node)
                records.finish(product, figures)
                entry = Entry(product, "fitted", figures)
            entries[product.key], ended = entry, ended + 1
            page = _write(entries, report, title)
            on_entry(entry, ended)
        return list(entries.values()), page


@contextmanager
def _records(report: Path) -> Iterator[Records]:
    """The records of a report, which no other process can open meanwhile."""
    with writing_explained(report):
        report.mkdir(parents=True, exist_ok=True)
    with locked(report / FOLDER, "fit-many", "Or give another --report."):
        yield Records(report)


def _write(entries: dict[str, Entry], report: Path, title: str) -> Path:
    date = datetime.now().strftime("%Y-%m-%d, %H:%M")
    with writing_explained(report):
        return write_report(list(entries.values()), report, title, date)


def _changed(product: Product, state: State) -> str:
    return (
        f"{printable(product.model)} was fitted before, and since then: {state.changes}. Add "
        "--overwrite to fit it again; the former model stays as a version. Or give another model."
    )
