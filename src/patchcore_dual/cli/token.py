"""`patchcore-dual token`: who may use an inspection station."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from patchcore_dual.cli.choices import AsJson

token_app = typer.Typer(
    help="Say who may use an inspection station over the network.\n\n"
    "Whoever asks a station that listens on more than this PC has to show a token. A token has a "
    "name, which the history of a model gives as the author of a change, and a role: `read` sees "
    "results, `inspect` also sends images (a camera, a PLC), `teach` also decides, teaches and "
    "undoes (an operator). The station keeps their hashes alone.\n\n"
    "Example: patchcore-dual token create ada --role teach",
    no_args_is_help=True,
)
Data = Annotated[Path, typer.Option(help="The station's folder, as of `serve`.", metavar="FOLDER")]
_DEFAULT = Path("station-data")


@token_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Of a person or a device, as 'camera 3'.")],
    role: Annotated[
        Literal["read", "inspect", "teach"], typer.Option(help="What it allows.")
    ] = "inspect",
    data: Data = _DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make a token, and print it: this is the only time that it can be seen.

    A running station knows it within a second.

    Example: patchcore-dual token create 'camera 3' --role inspect
    """
    from patchcore_dual.cli.console import console, print_json
    from patchcore_dual.station.web.tokens import Tokens

    token = Tokens(data).create(name, role)
    if as_json:
        print_json({"name": name, "role": role, "token": token})
        return
    print(token)
    console.print(
        "Keep it now; it cannot be shown again. Programs send it as\n"
        "  Authorization: Bearer TOKEN\n"
        "and the page asks for it.",
        markup=False,
    )


@token_app.command("list")
def list_tokens(data: Data = _DEFAULT, as_json: AsJson = False) -> None:
    """List the tokens: names, roles and when they were made, but not the tokens themselves.

    Example: patchcore-dual token list
    """
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.station.web.tokens import Tokens

    known = [{k: one[k] for k in ("name", "role", "created")} for one in Tokens(data).all()]
    if as_json:
        print_json({"tokens": known})
        return
    widest = max((len(one["name"]) for one in known), default=0)
    for one in known:
        print(f"{one['name']:{widest}}  {one['role']:7}  {one['created']}")
    if not known:
        print(
            f"{data} has no tokens. Make one with: patchcore-dual token create NAME --role teach "
            f"--data {data}"
        )


@token_app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Of the token, as `list` shows it.")],
    data: Data = _DEFAULT,
) -> None:
    """Take a token away: a running station refuses it within a second.

    Example: patchcore-dual token remove 'camera 3'
    """
    from patchcore_dual.station.web.tokens import Tokens

    Tokens(data).remove(name)
    print(f"{name} may no longer use the station.")
