"""`patchcore-dual audit`: does the test side of a prepared data set hold what training saw?"""

from pathlib import Path
from typing import Annotated

import typer


def audit(
    prepared: Annotated[Path, typer.Argument(help="A prepared data set.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look for exact copies, near duplicates and groups across the split; exit code 1 if any."""
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
