"""`patchcore-dual demo`: prepare, fit and evaluate on generated images of metal parts."""

import datetime
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from patchcore_dual.cli.choices import Device

SIZE = 256
MARKER = "made-by-demo.txt"  # only a folder that has it is replaced
# Of some hundred normal images, 1 % would set the threshold by the most unusual one alone.
FALSE_ALARM_RATE = 0.05


def demo(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for images, models and reports.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the generated data set.")] = 0,
    device: Device = "auto",
) -> None:
    """Compare PatchCore and PatchCoreDual on generated images of metal parts.

    The data set is generated, both detectors are fitted on it and evaluated, and
    a report is written. Neither data nor a network connection is needed.

    \b
    Example:
      patchcore-dual demo --out demo
    """
    from patchcore_dual.cli.console import console, progress_bar
    from patchcore_dual.cli.evaluate import print_table
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.data.prepare.preparation import prepare
    from patchcore_dual.demo.surfaces import make_surfaces
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.evaluation.evaluation import evaluate
    from patchcore_dual.utils.dependencies import require
    from patchcore_dual.utils.files import write_atomically
    from patchcore_dual.utils.staging import check_replaceable

    require("the demo", "torch", "jinja2", "matplotlib")
    from patchcore_dual.evaluation.report import report_on, write_comparison

    check_replaceable(out, MARKER, "demo", overwrite=True)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / MARKER, b"Made by patchcore-dual demo, which replaces what is here.\n")
    shutil.rmtree(out / "parts", ignore_errors=True)
    evaluations, links = {}, {}
    with progress_bar() as progress:
        console.print("Generating machined-metal parts with cracks, spots and scratches …")
        make_surfaces(out / "parts", seed=seed)
        prepare(
            "folder",
            out / "parts",
            out / "prepared",
            width=SIZE,
            height=SIZE,
            overwrite=True,
            progress=progress,
        )
        manifest = Manifest.load(out / "prepared")
        for name, scoring in (("patchcore", "patchcore"), ("patchcore-dual", "calibrated")):
            console.print(f"Fitting {name} …")
            detector = PatchCoreDual(
                scoring=scoring, false_alarm_rate=FALSE_ALARM_RATE, device=device
            )
            detector.fit(manifest, progress=progress)
            detector.save(out / f"model-{name}", overwrite=True)
            evaluation = evaluate(detector, manifest, progress=progress)
            today = datetime.date.today().isoformat()
            evaluations[name] = replace(evaluation, model=f"model-{name}", date=today)
            title = "Machined-metal parts (generated)"
            report_on(evaluations[name], detector, manifest, out / name, progress, title=title)
            links[name] = f"{name}/report.html"
        page = out / "report.html"
        write_comparison(evaluations, page, links)
    print_table(evaluations)
    print(
        f"The demo allows {100 * FALSE_ALARM_RATE:.0f} % false alarms, as an average over many "
        "parts; on a few test parts the rate may well be higher or lower."
    )
    print(f"Report, with every picture: {page}")
    model, parts = out / "model-patchcore-dual", out / "parts" / "test" / "crack"
    print(f"Inspect single images: patchcore-dual inspect {model} {parts} --out {out / 'pictures'}")
