"""`patchcore-dual drift`: whether parts have changed in a log of past inspections."""

from pathlib import Path
from typing import Annotated

import typer

from patchcore_dual.cli.choices import AsJson
from patchcore_dual.errors import SettingsError


def drift(
    model: Annotated[Path, typer.Argument(help="The model folder that inspected, or MODEL@3.")],
    log: Annotated[
        Path, typer.Argument(help="A file that `inspect --jsonl` wrote, or a folder of --results.")
    ],
    level: Annotated[
        float, typer.Option(help="Probability that unchanged parts ever raise an alarm.")
    ] = 0.01,
    picture: Annotated[
        Path | None,
        typer.Option(help="Write a picture of what changed into this PNG file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether good parts are still like those that the model was fitted on.

    The exit code is 0 where they are, and 1 where at any time of the log they
    were not. `inspect` and `serve` watch for drift too, image by image.

    Example: patchcore-dual drift model log.jsonl --picture drift.png
    """
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.live.drift_log import drift_in_log
    from patchcore_dual.live.drift_report import caveat, draw, report
    from patchcore_dual.utils.files import write_atomically
    from patchcore_dual.utils.pictures import png_bytes

    if picture is not None and picture.suffix.lower() != ".png":
        raise SettingsError(f"--picture {picture} is no PNG file. Give a name that ends in .png.")
    found = drift_in_log(model, log, level)
    values = report(found.sentinel)
    if picture is not None:
        write_atomically(picture, png_bytes(draw(found.sentinel)))
    begins = [one["since"] for one in values["past"]] + [values["since"] or 0]
    first = next((one for one in begins if one), None)
    if as_json:
        path = found.paths[first - 1] if first else None
        print_json({**values, "first_path": path, "unreadable": found.unreadable})
    else:
        for one in values["past"]:
            print(
                f"From image {one['since']:,} ({found.paths[one['since'] - 1]}) to about image "
                f"{one['last']:,} good parts were not like those the model was fitted on."
            )
        if values["since"]:
            print(f"{values['message']}\n{values['advice']}")
            print(f"Image {values['since']:,} is {found.paths[values['since'] - 1]}.")
        elif not first:
            print(f"No drift in {values['images']:,} images, at level {level:g}.")
        if first and (also := caveat(found.rejected, values["images"])):
            print(also)
        if found.unreadable:
            print(f"{found.unreadable:,} more could not be read when they were inspected.")
        if picture is not None:
            print(f"Picture: {picture}")
    if first:
        raise typer.Exit(1)
