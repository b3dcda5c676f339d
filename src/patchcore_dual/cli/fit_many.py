"""`patchcore-dual fit-many`: fit the models of many products, which a table lists."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from patchcore_dual.cli.choices import AsJson, Ray
from patchcore_dual.cli.fit import check_texts, fit
from patchcore_dual.errors import DataError, SettingsError, together

if TYPE_CHECKING:
    from patchcore_dual.products.fitting import FitCommand
    from patchcore_dual.products.report import Entry
    from patchcore_dual.products.table import Product

_NOT_OF_A_ROW = ("prepared", "model", "overwrite", "as_json", "ray", "workers", "return")
_YES_OR_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_PROGRAM = "from patchcore_dual.cli.main import main; main()"


def fit_many(
    table: Annotated[
        Path,
        typer.Argument(
            help="A CSV file with a row for each product: columns data (a folder that `prepare` "
            "made) and model (the folder to write), and optionally product (its name) and options "
            "of `fit`, as size, backbone or defects. Folders are relative to the file."
        ),
    ],
    report: Annotated[
        Path,
        typer.Option(
            help="Folder for the HTML page. What is finished is recorded there, too, so that the "
            "same command goes on after an interruption.",
            metavar="FOLDER",
        ),
    ],
    workers: Annotated[
        int | None,
        typer.Option(
            help="How many products are fitted at once; they share the cores.",
            show_default="1; with --ray one for each core of the cluster",
        ),
    ] = None,
    ray: Ray = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Fit again what was fitted by another row or from other images. The former model "
            "stays as a version.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit a model for each product of a table, and report on all in one page.

    Each row is fitted as `fit` does, in a process of its own. Products that are
    finished are recognised and skipped; a product that fails is a row of the
    report, and the others go on. Exit code 2 where one failed.

    A table for two products, the second with settings of its own:

      data,model,size,defects

      bolts/prepared,models/bolts,,

      nuts/prepared,models/nuts,320x320,10

    Example: patchcore-dual fit-many products.csv --report report --workers 4
    """
    from patchcore_dual.cli.console import console, print_json, progress_bar
    from patchcore_dual.cluster.connection import open_executor
    from patchcore_dual.products.fitting import FitCommand
    from patchcore_dual.products.report import headline
    from patchcore_dual.products.run import fit_products
    from patchcore_dual.products.table import read_products
    from patchcore_dual.utils.dependencies import require

    require("fit-many", "torch", "jinja2")
    at_once = 1 if ray is None and workers is None else workers
    options = _options()
    products = read_products(table, options)
    arguments = _arguments(products, table, options)

    def command_of(product: "Product", may_replace: bool) -> "FitCommand":
        more = ["--overwrite"] if may_replace else []
        return FitCommand(_PROGRAM, ("fit", *arguments[product.key], *more))

    with (
        progress_bar() as progress,
        open_executor(ray, at_once) as executor,
    ):

        def on_entry(entry: "Entry", ended: int) -> None:
            console.print(f"{_line(entry)}", markup=False, soft_wrap=True)
            progress("products", ended, len(products))

        entries, page = fit_products(
            products,
            command_of,
            report,
            executor,
            title=table.stem,
            overwrite=overwrite,
            on_entry=on_entry,
        )
    failed = [entry for entry in entries if entry.ended == "failed"]
    if as_json:
        print_json({"products": [_values(entry) for entry in entries], "page": str(page)})
    else:
        print(f"{headline(entries)} Page: {page}")
    if failed:
        raise DataError(
            f"{len(failed)} of {len(entries)} products failed, for the reasons above. "
            "The same command tries them again, and leaves the others as they are."
        )


def _options() -> dict[str, Any]:
    """The options of `fit` that a column may set, with their types, by name without dashes."""
    hints = get_type_hints(fit, include_extras=True)
    return {
        name.replace("_", "-"): get_args(hint)[0]
        for name, hint in hints.items()
        if name not in _NOT_OF_A_ROW
    }


def _arguments(
    products: "list[Product]", table: Path, options: dict[str, Any]
) -> dict[str, list[str]]:
    """What to call `fit` with, by `Product.key`; DataError for values that it would not take."""
    app = typer.Typer(add_completion=False)
    app.command()(fit)
    command = typer.main.get_command(app)
    found, problems = {}, []
    for product in products:
        where = f"{table}, line {product.line}"
        try:
            given = [str(product.data.absolute()), "--model", str(product.model.absolute())]
            for name, text in product.options.items():
                given += _given(name, text, options[name], table.parent)
            found[product.key] = [*given, "--json"]
            values = command.make_context("fit", list(found[product.key])).params
            check_texts(values)
        except (ValueError, SettingsError) as error:
            problems.append(DataError(f"{where}: {error}"))
        except typer.exceptions.TyperException as error:
            problems.append(DataError(f"{where}: {error.format_message()}"))
    if problems:
        raise together(problems)
    return found


def _given(name: str, text: str, kind: Any, folder: Path) -> list[str]:
    """One option of `fit` as on its command line; ValueError for a flag that is no yes or no."""
    kinds = get_args(kind) or (kind,)
    if bool in kinds:
        if text.lower() not in _YES_OR_NO:
            raise ValueError(f"{name} is {text!r}; use yes or no.")
        if _YES_OR_NO[text.lower()]:
            return [f"--{name}"]
        return [f"--no-{name}"] if type(None) in kinds else []
    if Path in kinds:
        return [f"--{name}", str((folder / text).absolute())]
    texts = text.split("|") if list[str] in kinds else [text]
    return [part for one in texts for part in (f"--{name}", one.strip())]


def _line(entry: "Entry") -> str:
    """What became of one product, in a line."""
    from patchcore_dual.scoring.operating_points import share
    from patchcore_dual.scoring.thresholds import percent
    from patchcore_dual.training.estimate import in_words

    figures = entry.figures
    if figures is None:
        return f"{entry.product.name} (line {entry.product.line}) failed: {entry.error}"
    return (
        f"{entry.product.name}: fitted in {in_words(figures.seconds)}, "
        f"{share(figures.recall)} of defects found at {percent(figures.false_alarms)} false alarms"
        + (f", {len(figures.warnings)} to look at" if figures.warnings else "")
    )


def _values(entry: "Entry") -> dict[str, Any]:
    """What became of one product, as plain values."""
    product = entry.product
    return {
        "product": product.name,
        "model": str(product.model),
        "ended": entry.ended,
        "error": entry.error or None,
        **(asdict(entry.figures) if entry.figures else {}),
    }
