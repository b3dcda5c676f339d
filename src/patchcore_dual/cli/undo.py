"""`patchcore-dual undo`: back to an earlier version of a model, exactly."""

from pathlib import Path
from typing import Annotated

import typer

from patchcore_dual.cli.choices import AsJson, By, Why


def undo(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made.")],
    to: Annotated[
        int | None,
        typer.Option(
            help="Number of the version to go to, as `history` lists them; a later one too.",
            show_default="the one before the last change",
            metavar="NUMBER",
        ),
    ] = None,
    by: By = None,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Go back to an earlier version of a model: the same bytes, the same fingerprint.

    Without --to, the last change is undone; run again, the one before it, and
    so on until the fit. Nothing is lost: an undo is a line of `history` as
    every change is, and --to NUMBER goes to any version, forward again too.

    Example: patchcore-dual undo model
    """
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.live import undo as undo_change
    from patchcore_dual.model.versions import history

    before = history(model)
    was = before.origin(before.last).number if len(before) else None
    version = undo_change(model, to, by=by or "", why=why)
    now = history(model).origin(version).number
    if as_json:
        fingerprint = version.fingerprint
        print_json({"model": str(model), "was": was, "now": now, "fingerprint": fingerprint})
    elif version.number == len(before):
        print(f"{model} is at version {now} already, fingerprint {version.fingerprint}.")
    else:
        print(f"{model} is at version {now} again, fingerprint {version.fingerprint}.")
        print(f"To take this back: patchcore-dual undo {model} --to {was}")
