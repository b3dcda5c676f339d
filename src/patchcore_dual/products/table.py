"""The table of products: a row for each, with its images, its model and settings of its own."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from patchcore_dual.data.csv_files import read_csv_file
from patchcore_dual.data.listing import printable
from patchcore_dual.errors import DataError, together

PRODUCT, DATA, MODEL = "product", "data", "model"
_REQUIRED = (DATA, MODEL)


@dataclass(frozen=True)
class Product:
    """One row of the table.

    Attributes:
        name: of the product, by default that of its model's folder.
        data: the folder that `prepare` made.
        model: the folder to fit into.
        line: of the table, for messages.
        options: options of `fit` by name, as they are written in the table; none is empty.
    """

    name: str
    data: Path
    model: Path
    line: int
    options: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells this product from others, in this table and in later ones: its model."""
        return os.path.abspath(self.model)


def read_products(path: Path, options: Collection[str]) -> list[Product]:
    """Read the table: a CSV file with columns `data` and `model`, and optionally others.

    Folders are relative to that of the table.

    Args:
        path: of the table.
        options: names that other columns may have, beside `product`. An empty value is none.

    Raises:
        DataError: for a table that cannot be used; all problems at once, with their lines.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     table = Path(folder, "products.csv")
    ...     _ = table.write_text("data,model,size\\nbolts,m/bolts,320x320\\nnuts,m/nuts,\\n")
    ...     for product in read_products(table, ["size"]):
    ...         print(product.name, product.data.name, product.options)
    bolts bolts {'size': '320x320'}
    nuts nuts {}
    """
    table = read_csv_file(path)
    shown = printable(path)
    _check_columns(table.columns, options, shown)
    products: list[Product] = []
    problems: list[DataError] = []
    for number, row in table.rows:
        values = {c: v.strip() for c, v in zip(table.columns, row, strict=True) if v.strip()}
        if missing := [column for column in _REQUIRED if column not in values]:
            problems.append(DataError(f"{shown}, line {number}: no {' and no '.join(missing)}."))
            continue
        data, model = (path.parent / values.pop(column).replace("\\", "/") for column in _REQUIRED)
        name = values.pop(PRODUCT, model.name)
        products.append(Product(name, data, model, number, values))
    problems += _repeated(products, shown)
    if problems:
        raise together(problems)
    if not products:
        raise DataError(f"{shown} lists no products. Add a row for each.")
    return products


def _check_columns(columns: tuple[str, ...], options: Collection[str], shown: str) -> None:
    there = ", ".join(columns) or "none"
    if missing := [column for column in _REQUIRED if column not in columns]:
        raise DataError(f"{shown}, line 1: no column {', '.join(missing)} (there are {there}).")
    known = (PRODUCT, *_REQUIRED, *options)
    if unknown := [column for column in columns if column not in known]:
        raise DataError(
            f"{shown}, line 1: unknown column {', '.join(unknown)}. Known are {', '.join(known)}."
        )
    if len(set(columns)) < len(columns):
        raise DataError(f"{shown}, line 1: a column is there twice ({there}). Remove one.")


def _repeated(products: list[Product], shown: str) -> list[DataError]:
    """Products that would be fitted into one folder, or have one name."""
    problems = []
    first: dict[str, Product] = {}
    for product in products:
        before = first.setdefault(os.path.realpath(product.model), product)
        if before is not product:
            problems.append(
                DataError(
                    f"{shown}, line {product.line}: the model {printable(product.model)} is that "
                    f"of line {before.line}, too. Give each product a model of its own."
                )
            )
    return problems
