"""`patchcore-dual`: the command line. Importing it loads nothing heavy."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from patchcore_dual._version import __version__
from patchcore_dual.cli.audit import audit
from patchcore_dual.cli.augment import augment_app
from patchcore_dual.cli.demo import demo
from patchcore_dual.cli.diff import diff
from patchcore_dual.cli.drift import drift
from patchcore_dual.cli.endings import one_exit_code_each
from patchcore_dual.cli.evaluate import evaluate
from patchcore_dual.cli.fit import fit
from patchcore_dual.cli.fit_many import fit_many
from patchcore_dual.cli.history import history
from patchcore_dual.cli.inspect import inspect
from patchcore_dual.cli.migrate import migrate
from patchcore_dual.cli.prepare import prepare
from patchcore_dual.cli.prune import prune
from patchcore_dual.cli.region import region
from patchcore_dual.cli.reproduce import reproduce
from patchcore_dual.cli.serve import serve
from patchcore_dual.cli.study import study
from patchcore_dual.cli.tag import tag
from patchcore_dual.cli.teach import teach
from patchcore_dual.cli.threshold import threshold
from patchcore_dual.cli.token import token_app
from patchcore_dual.cli.undo import undo

# What Ctrl-C leaves behind, by command. A command that knows more raises KeyboardInterrupt with a
# text of its own.
_AFTER_CTRL_C = {
    "prepare": "Nothing was changed: a prepared folder is written whole or not at all. "
    "Run the same command again.",
    "audit": "Nothing was changed.",
    "fit": "What is finished is kept beside the model folder, and the same command goes on from "
    "there. A model that was there before is as it was.",
    "fit-many": "What is finished is kept, and the same command goes on from there.",
    "evaluate": "Anomaly maps written so far (--maps) are whole; figures and report are not kept. "
    "The same command begins anew.",
    "study": "Nothing was written. The same command begins anew.",
    "threshold": "The model has its old threshold or the new one. Run the same command again.",
    "teach": "The model is as it was, or taught. Run the same command again: it says so if it is.",
    "region": "The model is as it was, or inspects less. See: patchcore-dual history MODEL",
    "history": "Nothing was changed.",
    "undo": "The model is at its old version or at the new one. Run the same command again.",
    "diff": "Nothing was written. The same command begins anew.",
    "tag": "The version has its name or not yet. Run the same command again.",
    "prune": "The versions that are left are whole. Run the same command again.",
    "serve": "Everything that was answered is kept. The same command goes on.",
    "token": "The token is there, or it is not: see `patchcore-dual token list`.",
    "migrate": "The model is as it was, or up to date. Run the same command again.",
    "drift": "Nothing was changed.",
    "inspect": "Nothing was inspected yet. Run the same command again.",
    "augment": "Images made so far are kept, and the same command continues with the next. "
    "`fit` uses none of them before the set is finished.",
    "reproduce": "With --report, finished trials are kept in its folder, and the same command "
    "goes on from there.",
    "demo": "The same command begins anew.",
}


class _Commands(TyperGroup):
    def make_context(self, *args: Any, **options: Any) -> Any:
        with one_exit_code_each(str):
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with one_exit_code_each(lambda: _AFTER_CTRL_C.get(ctx.invoked_subcommand or "", "")):
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    name="patchcore-dual",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_COMMANDS: tuple[Callable[..., None], ...] = (
    *(prepare, audit, fit, fit_many, evaluate, threshold, inspect, drift, study),
    *(teach, region, history, undo, diff, tag, prune, migrate),
    *(serve, reproduce, demo),
)
for command in _COMMANDS:
    app.command()(command)
app.add_typer(augment_app, name="augment")
app.add_typer(token_app, name="token")


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

      patchcore-dual prepare folder PARTS prepared

      patchcore-dual fit prepared --model model

      patchcore-dual evaluate model prepared --report report

      patchcore-dual inspect model NEW_IMAGES --out pictures
    """


def main() -> None:
    """Run a command; `endings.py` says what each exit code means."""
    from patchcore_dual.cli.console import print_in_any_code_page

    print_in_any_code_page()
    app()
