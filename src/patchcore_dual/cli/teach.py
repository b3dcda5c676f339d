"""`patchcore-dual teach`: teach a fitted model single images, on the line, without PyTorch."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchcore_dual.cli.choices import AsJson, By, Device, Last, Log, Prepared, Why
from patchcore_dual.errors import SettingsError

if TYPE_CHECKING:
    from patchcore_dual.live import Lesson


def teach(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made.")],
    images: Annotated[
        list[Path] | None, typer.Argument(help="Images that the model judged wrongly.")
    ] = None,
    is_defect: Annotated[
        bool, typer.Option("--defect", help="The images show defects that are to be found.")
    ] = False,
    is_good: Annotated[
        bool, typer.Option("--good", help="The images show good parts: false alarms.")
    ] = False,
    masks: Annotated[
        list[Path] | None,
        typer.Option(
            "--mask",
            help="Where the defect lies, as a picture of the image's size; once for each image, "
            "in their order.",
            show_default="the region that stands out most",
        ),
    ] = None,
    kind: Annotated[str, typer.Option(help="What sort of defect it is, as crack.")] = "",
    group: Annotated[
        str,
        typer.Option(
            help="The object that the images show (a part, a lot), where the model knows others "
            "of it: the group in the manifest that it was fitted on."
        ),
    ] = "",
    removed: Annotated[
        list[str] | None,
        typer.Option(
            "--remove",
            help="A training image to take out of the model, named as `inspect` names it; may be "
            "given several times.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Teach it even where that costs more than is allowed.")
    ] = False,
    max_loss: Annotated[
        float,
        typer.Option(help="Loss of recall on known defects beyond which the images are refused."),
    ] = 0.02,
    log: Log = None,
    last: Last = 100,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Write each image with the defect that is taught, and the mask, into this folder."
        ),
    ] = None,
    prepared: Prepared = None,
    get_ready: Annotated[
        bool,
        typer.Option(
            "--get-ready",
            help="Teach nothing, but keep with the model what teaching needs of the images that it "
            "was fitted on; it can then be taught on another PC.",
        ),
    ] = False,
    by: By = None,
    why: Why = "",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Teach a model a defect that it missed, or a good part that it rejected.

    What changes is shown: verdicts, recall on known defects, false alarms. Images that would cost
    too much are refused, with exit code 1, and the model stays as it is.

    Example: patchcore-dual teach model missed.png --defect --mask mask.png
    """
    from patchcore_dual.cli.console import console, print_json, progress_bar
    from patchcore_dual.cli.inspected_lately import inspected_lately
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.features.inspected import everywhere
    from patchcore_dual.live import CalibrationImages, commit, editing

    lessons: list[Lesson] = []
    if get_ready or removed:
        option = "--get-ready" if get_ready else "--remove"
        if images or masks or is_defect or is_good or (get_ready and removed):
            raise SettingsError(f"{option} teaches nothing. Give no images with it.")
        if kind or group or pictures:
            raise SettingsError(f"{option} takes no --kind, --group or --pictures.")
        if get_ready and dry_run:
            raise SettingsError("--get-ready changes no model: leave --dry-run out.")
    else:
        lessons = _lessons(images or [], masks or [], is_defect, is_good)
    lessons = [replace(one, kind=kind, group=group) for one in lessons]
    if not 0 <= max_loss < 1:
        raise SettingsError(f"--max-loss is {max_loss:g}; give a share of defects, as 0.02.")
    inspected = None if log is None else inspected_lately(log, last)
    with nullcontext() if dry_run else editing(model), progress_bar() as progress:
        detector = PatchCoreDual.load(model, device=device)
        if get_ready:
            embed = everywhere(detector.embedder, detector.settings)
            CalibrationImages(detector.model, embed, model, prepared=prepared, progress=progress)
            if as_json:
                print_json({"model": str(model), "ready": True})
            else:
                print(f"{model} can be taught wherever its folder is copied to.")
            return
        outcome = detector.teach(
            *lessons,
            removed=removed or (),
            prepared=prepared,
            inspected=inspected,
            max_loss=max_loss,
            dry_run=dry_run,
            force=force,
            progress=progress,
        )
        if pictures is not None:
            from patchcore_dual.cli.teach_pictures import write_pictures

            written = write_pictures(outcome.teaching.taught, pictures)
        if outcome.is_accepted:
            commit(model, detector.model, outcome.edit(by=by or "", why=why))
    if pictures is not None:
        console.print(f"Pictures: {', '.join(written)}", markup=False, soft_wrap=True)
    shown = outcome.preview
    if as_json:
        print_json(
            {
                "model": str(model),
                **shown.to_json(),
                "notes": outcome.teaching.notes,
                "accepted": outcome.is_accepted,
                "fingerprint": detector.fingerprint,
            }
        )
    else:
        for line in (*outcome.teaching.notes, shown):
            print(line)
        if pictures is None and any(one.is_proposed for one in outcome.teaching.taught):
            print("See where the defect is taken to be with --pictures; correct it with --mask.")
    refused = bool(shown.refusals) and not force
    if not as_json:
        if dry_run:
            print("Nothing was changed." + (" It would be refused:" if refused else ""))
        elif refused:
            print("Refused; the model is as it was. Teach it all the same with --force.")
        else:
            print(f"{model} is {'taught' if lessons else 'without them'}.")
        for reason in shown.refusals:
            print(f"  {reason}")
    if refused:
        raise typer.Exit(1)


def _lessons(
    images: list[Path], masks: list[Path], is_defect: bool, is_good: bool
) -> "list[Lesson]":
    """What is to be taught; SettingsError for options that contradict each other."""
    if not images:
        raise SettingsError("there is nothing to teach: give at least one image.")
    if is_defect == is_good:
        raise SettingsError("say what the images show: --defect or --good, one of both.")
    if is_good and masks:
        raise SettingsError("a mask shows a defect. Leave --mask out with --good.")
    if masks and len(masks) != len(images):
        raise SettingsError(
            f"there are {len(images)} images and {len(masks)} masks. Give --mask once for each "
            "image, in their order, or for none."
        )
    from patchcore_dual.live import Lesson

    drawn: list[Path | None] = [*masks] if masks else [None] * len(images)
    return [Lesson(image, is_defect, mask) for image, mask in zip(images, drawn, strict=True)]
