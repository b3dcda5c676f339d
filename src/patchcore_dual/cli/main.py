"""`patchcore-dual`: the command line. Importing it loads nothing heavy."""

import sys
from typing import Annotated

import typer

from patchcore_dual._version import __version__
from patchcore_dual.cli.audit import audit
from patchcore_dual.cli.augment import augment
from patchcore_dual.cli.demo import demo
from patchcore_dual.cli.evaluate import evaluate
from patchcore_dual.cli.fit import fit
from patchcore_dual.cli.inspect import inspect
from patchcore_dual.cli.prepare import prepare
from patchcore_dual.cli.reproduce import reproduce
from patchcore_dual.errors import PatchCoreDualError

app = typer.Typer(
    name="patchcore-dual",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (prepare, audit, augment, fit, evaluate, inspect, reproduce, demo):
    app.command()(command)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"patchcore-dual {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Find defects on parts: learn from good parts and from the few defective ones.

    The usual way, for images in PARTS/good and PARTS/defect:

      patchcore-dual prepare folder PARTS prepared --size 512x512

      patchcore-dual fit prepared --model model

      patchcore-dual evaluate model prepared --report report

      patchcore-dual inspect model NEW_IMAGES --out pictures
    """


def main() -> None:
    """Run a command: exit code 2 and one clear message where the input is at fault."""
    try:
        app()
    except PatchCoreDualError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:  # an optional dependency
        from patchcore_dual.utils.dependencies import EXTRAS, missing

        if error.name is None or error.name.split(".")[0] not in EXTRAS:
            raise
        print(f"error: {missing(error.name.split('.')[0])}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a full disk, a folder that may not be written
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}.", file=sys.stderr)
        sys.exit(2)
