"""`patchcore-dual augment`: make synthetic defects and add them to a prepared data set."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from patchcore_dual.cli.augment_options import (
    DEFAULT_COUNT,
    IMAGES_PER_PROMPT,
    Defects,
    DiffusionOptions,
    MaskedSetOptions,
    Prepared,
    Seed,
    SetOptions,
)
from patchcore_dual.cli.choices import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.synthesis import Generator
    from patchcore_dual.synthesis.diag.prompts import Prompt
    from patchcore_dual.utils.progress import Progress


class _GeneratorGroup(TyperGroup):
    """A subcommand for each generator; the registry is imported only when one is needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        from patchcore_dual.synthesis import GENERATORS

        return [*GENERATORS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from patchcore_dual.synthesis import GENERATORS

        if cmd_name in GENERATORS:
            return _subcommand(GENERATORS[cmd_name])
        return super().get_command(ctx, cmd_name)


augment_app = typer.Typer(
    cls=_GeneratorGroup,
    help="Make synthetic defects on normal training images, for `fit` to train on.\n\n"
    "Images, masks and a contact sheet are written to PREPARED/synthetic/NAME. Once all images "
    "are made, they are added to the manifest. The same command continues an interrupted run. "
    "Review the contact sheet: images that its reject.txt lists are not used.\n\n"
    "Example: patchcore-dual augment poisson prepared --count 50",
    no_args_is_help=True,
)


@augment_app.command("propose-prompts")
def propose_prompts(
    prepared: Prepared,
    file: Annotated[
        Path, typer.Argument(help="YAML file to write.", metavar="FILE", show_default=False)
    ],
    seed: Seed = 0,
    defects: Defects = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Propose prompts for `diag` from the real defects.

    Improve the proposed prompts, then use the file with `augment diag --prompts`.

    Example: patchcore-dual augment propose-prompts prepared prompts.yaml
    """
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.data.subsets import choose_defects
    from patchcore_dual.synthesis.diag.prompt_proposals import write_proposal

    manifest = choose_defects(Manifest.load(prepared), defects, (), seed)
    proposed = [prompt.positive for prompt in write_proposal(manifest, file, overwrite)]
    if as_json:
        print_json({"prompts": str(file), "proposed": proposed})
        return
    print(f"{file}: proposed prompts, for you to improve:", *proposed, sep="\n  ")
    print(f"Next: patchcore-dual augment diag {prepared} --prompts {file} --pipeline FOLDER")


def _subcommand(generator: "type[Generator]") -> Any:
    """The subcommand of a generator: its options are the fields of a class of options."""
    options: type[SetOptions]
    if not generator.runs_on_cpu:
        options, example = DiffusionOptions, "--preset ksdd2 --pipeline FOLDER"
    elif generator.needs_donor:
        options, example = SetOptions, "--count 50"
    else:
        options, example = MaskedSetOptions, "--count 50 --masks drawn"

    def command(**values: Any) -> None:
        _augment(generator, options(**values))

    command.__signature__ = inspect.signature(options)  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    help_text = (
        f"{generator.summary}\n\n"
        f"Example: patchcore-dual augment {generator.name} prepared {example}"
    )
    app.command(generator.name, help=help_text)(command)
    return typer.main.get_command(app)


def _augment(generator: "type[Generator]", options: SetOptions) -> None:
    """Make a set, review it, and add it to the manifest."""
    from patchcore_dual.cli.console import print_json, progress_bar
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.data.subsets import choose_defects
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.synthesis.runs.quality_control import (
        apply_gates_to_run,
        notes_on,
        write_review,
    )
    from patchcore_dual.synthesis.runs.run import enrol, run_folder
    from patchcore_dual.synthesis.runs.synthesise import synthesise
    from patchcore_dual.training import normal_banks_of
    from patchcore_dual.utils.dependencies import require

    require("the contact sheet", "jinja2")
    for option in options.only_with_gate:
        if getattr(options, option) is not None and not options.gate:
            raise SettingsError(f"--{option} is for the gates. Add --gate, or leave it out.")
    default_name = generator.name + (f"-seed{options.seed}" if options.seed else "")
    folder = run_folder(options.prepared, options.name or default_name)
    manifest = choose_defects(Manifest.load(options.prepared), options.defects, (), options.seed)
    detector = _gate_detector(options) if options.gate else None
    with progress_bar() as progress:
        generators: Sequence[Generator]
        if isinstance(options, DiffusionOptions):
            generators, count = _diffusion_generators(options, progress)
        else:
            generators, count = [generator()], options.count or DEFAULT_COUNT
        rows = synthesise(
            manifest,
            generators,
            count,
            options.seed,
            folder,
            samples_per_triplet=options.samples_per_triplet,
            overwrite=options.overwrite,
            progress=progress,
            **options.mask_options(),
        )
        report = None
        if detector:
            training_set = manifest.real().part("train")
            banks = normal_banks_of(
                training_set,
                detector.embedder,
                detector.settings,
                with_folds=False,
                progress=progress,
            )
            report = apply_gates_to_run(manifest, rows, detector.embed, banks.whole, progress)
    title = f"{len(rows)} synthetic defects: {folder.name}, seed {options.seed}"
    write_review(manifest, rows, report, folder, title)
    kept = [row for row in rows if report is None or Path(row.image).name in report.passed]
    enrol(options.prepared, folder, kept)
    summary = {
        "set": folder.name,
        "folder": str(folder),
        "images": len(rows),
        "kept": len(kept),
        "generator": generator.name,
        "seed": options.seed,
        "test_masks": any(row.used_test_mask for row in rows),
        "contact_sheet": str(folder / "sheet.html"),
        "gates": report.to_json() if report else None,
    }
    if options.as_json:
        print_json(summary)
        return
    print(f"{folder}: {title}, {len(kept)} of them in the manifest.")
    for note in notes_on(rows, report):
        print(note)
    print(
        f"Next: open {summary['contact_sheet']}, reject what does not look like a real defect, and "
        f"put the downloaded reject.txt into {folder}. Until then `fit` uses all of them."
    )
    print(f"Then: patchcore-dual fit {options.prepared} --model MODEL --synthetic best")


def _diffusion_generators(
    options: DiffusionOptions, progress: "Progress"
) -> "tuple[list[Generator], int]":
    """A generator for each prompt, and the number of images."""
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.synthesis.diag.diag import Diag, DiagParameters
    from patchcore_dual.synthesis.diag.pipeline import HOW_TO_DOWNLOAD, load_pipeline

    if options.count is not None and options.images_per_prompt is not None:
        raise SettingsError("give --count or --images-per-prompt, not both.")
    prompts = _prompts(options)
    if options.pipeline is None:
        raise SettingsError(f"diag needs --pipeline FOLDER. {HOW_TO_DOWNLOAD}")
    parameters = DiagParameters(
        steps=options.steps,
        guidance=options.guidance,
        strength=options.strength,
        size=options.size,
        geometry=options.geometry,
        paste=not options.no_paste,
    )
    pipeline = load_pipeline(options.pipeline, options.device or "auto", offload=options.offload)
    count = options.count or len(prompts) * (options.images_per_prompt or IMAGES_PER_PROMPT)
    return [Diag(pipeline, prompt, parameters, progress) for prompt in prompts], count


def _prompts(options: DiffusionOptions) -> "tuple[Prompt, ...]":
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.synthesis.diag.prompts import preset_prompts, read_prompts

    if options.preset is not None and options.prompts is not None:
        raise SettingsError("give --preset or --prompts, not both.")
    if options.preset is not None:
        return preset_prompts(options.preset)
    if options.prompts is not None:
        return read_prompts(options.prompts)
    raise SettingsError(
        "diag needs prompts: --preset ksdd2, or --prompts FILE. To propose prompts from your own "
        f"defects: patchcore-dual augment propose-prompts {options.prepared} FILE"
    )


def _gate_detector(options: SetOptions) -> "PatchCoreDual":
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.settings import Settings

    backbone = options.backbone or Settings().backbone
    return PatchCoreDual(
        weights=options.weights, device=options.device or "auto", backbone=backbone
    )
