"""`patchcore-dual prune`: remove old versions of a model."""

from pathlib import Path
from typing import Annotated

import typer

from patchcore_dual.cli.choices import AsJson, By, Why


def prune(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made.")],
    keep: Annotated[
        int, typer.Option(help="How many versions to keep, the one in place and those before it.")
    ] = 10,
    by: By = None,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Remove old versions of a model, and the files that they alone need.

    The version in place and those with a tag are kept. `history` still lists
    what was removed, but `undo` cannot return to it.

    Example: patchcore-dual prune model --keep 5
    """
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.live import prune as prune_versions

    pruned = prune_versions(model, keep, by=by or "", why=why)
    if as_json:
        removed = list(pruned.removed)
        print_json({"model": str(model), "removed": removed, "freed_bytes": pruned.freed})
    elif pruned.removed:
        numbers = ", ".join(map(str, pruned.removed))
        print(f"Removed from {model}: {numbers}; {pruned.freed / 2**20:.1f} MiB are free again.")
    else:
        print(f"{model} has no more than {keep} versions without a tag: nothing was removed.")
