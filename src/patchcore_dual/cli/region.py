"""`patchcore-dual region`: where a fitted model inspects, and having it inspect less."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from patchcore_dual.cli.choices import AsJson, By, Device, Ignore, Last, Log, Prepared, Roi, Why
from patchcore_dual.errors import SettingsError


def region(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made.")],
    roi: Roi = None,
    ignore: Ignore = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what would change, and change nothing.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Narrow it even where that costs more than is allowed."),
    ] = False,
    log: Log = None,
    last: Last = 100,
    prepared: Prepared = None,
    by: By = None,
    why: Why = "",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Have a fitted model inspect less: leave out a fixture or a label that raises alarms.

    Without --roi and --ignore, say how much it inspects. With one of them it
    inspects only what lies in its region and in this one, and is calibrated
    anew. What changes is shown: false alarms, recall on known defects, and how
    many defects lie outside. What would cost too much is refused, with exit
    code 1, and the model stays as it is.

    A model can only be narrowed: of what it does not inspect, it keeps nothing.
    To inspect more again, go back with `undo`, or `fit` anew.

    Example: patchcore-dual region model --ignore fixture.png --preview
    """
    from patchcore_dual.cli.console import print_json, progress_bar
    from patchcore_dual.cli.inspected_lately import inspected_lately
    from patchcore_dual.data.roi import read_roi
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.live import commit, editing

    if roi is None and ignore is None:
        if preview or force or log or prepared or by or why:
            raise SettingsError("there is no region to narrow it to: give --roi or --ignore.")
        _show(model, as_json)
        return
    region = read_roi(roi, ignore)
    inspected = None if log is None else inspected_lately(log, last)
    with nullcontext() if preview else editing(model), progress_bar() as progress:
        detector = PatchCoreDual.load(model, device=device)
        outcome = detector.teach(
            region=region,
            prepared=prepared,
            inspected=inspected,
            dry_run=preview,
            force=force,
            progress=progress,
        )
        if outcome.is_accepted:
            commit(model, detector.model, outcome.edit(by=by or "", why=why))
    shown = outcome.preview
    refused = bool(shown.refusals) and not force
    if as_json:
        print_json(
            {
                "model": str(model),
                **shown.to_json(),
                "accepted": outcome.is_accepted,
                "fingerprint": detector.fingerprint,
            }
        )
    else:
        print(shown)
        if preview:
            print("Nothing was changed." + (" It would be refused:" if refused else ""))
        elif refused:
            print("Refused; the model is as it was. Narrow it all the same with --force.")
        else:
            print(f"{model} inspects {shown.inspected_share[1]:.1%} of each image now.")
            print(f"To take this back: patchcore-dual undo {model}")
        for reason in shown.refusals:
            print(f"  {reason}")
    if refused:
        raise typer.Exit(1)


def _show(folder: Path, as_json: bool) -> None:
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.model import load_model

    model = load_model(folder)
    share, outside = model.inspected_share, model.defects_outside
    if as_json:
        print_json(
            {
                "model": str(folder),
                "inspected_share": share,
                "size": list(model.size) if model.size else None,
                "defects_outside": outside,
            }
        )
        return
    size = f" of {model.size[0]}x{model.size[1]} pixels" if model.size else ""
    print(f"{folder} inspects {share:.1%} of each image{size}.")
    if outside:
        print(f"The defects of {outside} training images lie wholly outside.")
    print("Have it inspect less with --ignore, as of a fixture; or with --roi.")
