"""`patchcore-dual tag`: give a version of a model a name, which protects it."""

from pathlib import Path
from typing import Annotated

import typer

from patchcore_dual.cli.choices import AsJson, By, Why


def tag(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made.")],
    name: Annotated[str, typer.Argument(help="The name, as approved.")],
    version: Annotated[
        int | None,
        typer.Option(
            help="Number of the version, as `history` lists them.",
            show_default="the one in place",
            metavar="NUMBER",
        ),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the name away from the version that has it.")
    ] = False,
    by: By = None,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Name a version: `prune` keeps it, and MODEL@NAME reads it.

    A name that another version has moves to this one.

    Example: patchcore-dual tag model approved
    """
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.live import tag as tag_version
    from patchcore_dual.live import untag
    from patchcore_dual.model.versions import history

    if remove:
        if version is not None:
            raise SettingsError("--remove takes the name away, whichever version has it.")
        untag(model, name, by=by or "", why=why)
    else:
        tag_version(model, name, version, by=by or "", why=why)
    tags = history(model).tags
    if as_json:
        print_json({"model": str(model), "tags": tags})
    elif remove:
        print(f"{model} has no version {name} any more.")
    else:
        print(f"Version {tags[name]} of {model} is {name}: read it as {model}@{name}.")
