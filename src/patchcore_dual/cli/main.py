"""`patchcore-dual`: the command line. Importing it loads nothing heavy."""

import sys

import typer

from patchcore_dual.cli.audit import audit
from patchcore_dual.cli.augment import augment_app
from patchcore_dual.cli.demo import demo
from patchcore_dual.cli.evaluate import evaluate
from patchcore_dual.cli.fit import fit
from patchcore_dual.cli.inspect import inspect
from patchcore_dual.cli.prepare import prepare
from patchcore_dual.cli.reproduce import reproduce
from patchcore_dual.errors import PatchCoreDualError

app = typer.Typer(
    name="patchcore-dual",
    help="Anomaly detection that learns from good parts and from the few defective ones.\n\n"
    "The usual way: prepare a data set, fit a model on it, evaluate it, inspect new images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (prepare, audit, fit, evaluate, inspect, reproduce, demo):
    app.command()(command)
app.add_typer(augment_app, name="augment")


def main() -> None:
    """Run a command: exit code 2 and one clear message where the input is at fault."""
    try:
        app()
    except PatchCoreDualError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a full disk, a folder that may not be written
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}.", file=sys.stderr)
        sys.exit(2)
