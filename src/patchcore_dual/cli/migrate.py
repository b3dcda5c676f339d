"""`patchcore-dual migrate`: bring a model of an older version up to date."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from patchcore_dual.cli.choices import AsJson, By, Why


def migrate(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made.")],
    by: By = None,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Bring a model of an older version up to date, so that it runs without PyTorch.

    This takes PyTorch once, to make the graph of the network. Scores and
    verdicts stay as they are. Thresholds, banks and calibration are kept.

    Example: patchcore-dual migrate model
    """
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.features import graph_of
    from patchcore_dual.model import Edit, commit, editing

    with editing(model):
        detector = PatchCoreDual.load(model, device="cpu")
        migrated = replace(detector.model, graph=graph_of(detector.embedder))
        version = commit(model, migrated, Edit("migrate", by=by or "", why=why))
    changed = version.fingerprint != detector.fingerprint
    if as_json:
        print_json({"model": str(model), "migrated": changed})
    else:
        print(f"{model}: {'brought up to date' if changed else 'was up to date'}.")
