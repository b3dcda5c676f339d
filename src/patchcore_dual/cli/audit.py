"""`patchcore-dual audit`: find out whether the test images of a data set are also trained on."""

from pathlib import Path
from typing import Annotated

import typer

from patchcore_dual.cli.choices import AsJson


def audit(
    prepared: Annotated[Path, typer.Argument(help="Folder that `prepare` made.")],
    as_json: AsJson = False,
) -> None:
    """List exact copies, near duplicates and groups that lie on both sides of the split.

    The exit code is 1 if there are any: scores on the test images would then be too good.

    \b
    Example:
      patchcore-dual audit prepared
    """
    from patchcore_dual.cli.console import print_json, progress_bar
    from patchcore_dual.data.audit import audit_folder

    with progress_bar() as progress:
        report = audit_folder(prepared, progress)
    if as_json:
        print_json(report.to_json())
    else:
        print("\n".join(report.lines()))
        print("The split leaks." if report.has_leakage else "Nothing crosses the split.")
    if report.has_leakage:
        raise typer.Exit(1)
