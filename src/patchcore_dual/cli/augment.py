"""`patchcore-dual augment`: make synthetic defects and add them to a prepared data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.synthesis.diag.prompts import Prompt
    from patchcore_dual.synthesis.generator import Generator
    from patchcore_dual.utils.progress import Progress

DEFAULT_COUNT = 100
IMAGES_PER_PROMPT = 50


def augment(
    prepared: Annotated[Path, typer.Argument(help="A folder that `prepare` made.")],
    generator: Annotated[
        str,
        typer.Option(
            help="poisson transplants real defects; cutpaste and perlin disturb the surface; "
            "strokes draws scratches, cracks and spots; diag paints with a diffusion model."
        ),
    ],
    count: Annotated[
        int | None,
        typer.Option(
            help="How many images, default 100. A larger count later adds to the same set."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    masks: Annotated[
        str,
        typer.Option(
            help="real: masks of training defects, moved; drawn: invented ones; auto: real where "
            "there are any."
        ),
    ] = "auto",
    allow_test_masks: Annotated[
        bool,
        typer.Option(
            "--allow-test-masks",
            help="Take masks of test defects too, as the thesis did. Test information then leaks "
            "into training, and every model and report made from it says so.",
        ),
    ] = False,
    defects: Annotated[
        int | None,
        typer.Option(
            help="Borrow from only so many training defects: those that `fit --defects` keeps at "
            "the same seed."
        ),
    ] = None,
    samples_per_triplet: Annotated[
        int, typer.Option(help="Images made on the same good image with the same mask.")
    ] = 1,
    gate: Annotated[
        bool,
        typer.Option(
            "--gate",
            help="Keep only images whose defect is visible, like the real ones, without a seam, "
            "and no near duplicate.",
        ),
    ] = False,
    backbone: Annotated[
        str | None, typer.Option(help="Backbone the gates see with, default efficientnet_lite0.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights of that backbone.")] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the set: PREPARED/synthetic/NAME. Default: the generator and the seed."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a set of the same name.")
    ] = False,
    preset: Annotated[
        str | None, typer.Option(help="diag: prompts that come with the program: ksdd2.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="diag: a YAML file with prompts of your own.")
    ] = None,
    propose_prompts: Annotated[
        Path | None,
        typer.Option(
            help="diag: write a first proposal of prompts, from the real defects, to this file, "
            "and end. Improve it, then give it with --prompts."
        ),
    ] = None,
    images_per_prompt: Annotated[
        int | None, typer.Option(help="diag: instead of --count, default 50.")
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option(
            help="diag: an SDXL inpainting pipeline of diffusers: a folder, or owner/name on the "
            "Hugging Face hub, which is downloaded."
        ),
    ] = None,
    geometry: Annotated[
        str | None,
        typer.Option(
            help="diag: crop shows the model a crop around the mask (default); thesis the whole "
            "image, squeezed into a square."
        ),
    ] = None,
    no_paste: Annotated[
        bool,
        typer.Option(
            "--no-paste", help="diag: keep the model's whole output, changed outside the mask too."
        ),
    ] = False,
    size: Annotated[
        int | None, typer.Option(help="diag: pixels a side that the model works on, default 1024.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="diag: denoising steps, default 30.")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="diag: how strictly prompts are followed, default 20.")
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(help="diag: 1 forgets the surface under the mask; default 0.99."),
    ] = None,
    offload: Annotated[
        str | None,
        typer.Option(help="diag: none (default), model or sequential; saves GPU memory."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Of diag and the gates: auto (default), cpu or cuda.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make synthetic defects on good training images, for `fit` to learn from (4.2).

    Writes images, masks and a contact sheet to PREPARED/synthetic/NAME and, once all are made,
    adds them to the manifest. An interrupted run goes on where it was with the same command. Look
    at the contact sheet: images that its reject.txt lists are not used.
    """
    from patchcore_dual.cli.console import console, print_json, progress_bar
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.data.subsets import choose_defects
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.synthesis import CPU_GENERATORS
    from patchcore_dual.synthesis.runs.enrolment import enrol
    from patchcore_dual.synthesis.runs.materials import judge_run, notes_on, write_review
    from patchcore_dual.synthesis.runs.run import run_folder
    from patchcore_dual.synthesis.runs.synthesise import synthesise

    for_diag = {
        "--preset": preset,
        "--prompts": prompts,
        "--propose-prompts": propose_prompts,
        "--images-per-prompt": images_per_prompt,
        "--pipeline": pipeline,
        "--geometry": geometry,
        "--no-paste": no_paste or None,
        "--size": size,
        "--steps": steps,
        "--guidance": guidance,
        "--strength": strength,
        "--offload": offload,
    }
    check_options(generator, gate, for_diag, {"--backbone": backbone, "--weights": weights}, device)
    if count is not None and images_per_prompt is not None:
        raise SettingsError("give --count or --images-per-prompt, not both.")
    folder = run_folder(prepared, name or generator + (f"-seed{seed}" if seed else ""))
    manifest = Manifest.load(prepared)
    chosen = choose_defects(manifest, defects, (), seed)
    if propose_prompts is not None:
        _propose(chosen, propose_prompts, overwrite, as_json)
        return
    detector = _detector(backbone, weights, device) if gate else None
    with progress_bar() as progress:
        if generator == "diag":
            asked = _prompts(preset, prompts)
            if count is None:
                count = len(asked) * (
                    IMAGES_PER_PROMPT if images_per_prompt is None else images_per_prompt
                )
            parameters = {
                "steps": steps,
                "guidance": guidance,
                "strength": strength,
                "size": size,
                "geometry": geometry,
                "paste": False if no_paste else None,
            }
            generators = _diag(
                asked, pipeline, device or "auto", offload or "none", parameters, progress
            )
        else:
            generators = [CPU_GENERATORS[generator]()]
        try:
            rows = synthesise(
                chosen,
                generators,
                DEFAULT_COUNT if count is None else count,
                seed,
                folder,
                masks=masks,  # type: ignore[arg-type]  # checked there
                allow_test_masks=allow_test_masks,
                samples_per_triplet=samples_per_triplet,
                overwrite=overwrite,
                progress=progress,
            )
        except KeyboardInterrupt:
            console.print("Interrupted. The same command goes on where this one was.")
            raise
        report = None
        if detector:
            training_set = chosen.real().part("train")
            bank = detector.normal_banks(training_set, progress, cross_fit=False).whole
            report = judge_run(chosen, rows, detector.embed, bank, progress)
    title = f"{len(rows)} synthetic defects: {folder.name}, seed {seed}"
    write_review(chosen, rows, report, folder, title)
    kept = [row for row in rows if report is None or Path(row.image).name in report.passed]
    enrol(prepared, folder, kept)
    told: dict[str, Any] = {
        "set": folder.name,
        "folder": str(folder),
        "images": len(rows),
        "kept": len(kept),
        "generator": generator,
        "seed": seed,
        "test_masks": allow_test_masks,
        "contact_sheet": str(folder / "sheet.html"),
        "gates": report.to_json() if report else None,
    }
    if as_json:
        print_json(told)
    else:
        print(f"{folder}: {title}, {len(kept)} of them in the manifest.")
        for note in notes_on(rows, report):
            print(note)
        print(f"Look at them, and reject what is no good: {folder / 'sheet.html'}")
        print(f"Next: patchcore-dual fit {prepared} --model MODEL")


def check_options(
    generator: str,
    gate: bool,
    for_diag: Mapping[str, Any],
    for_gates: Mapping[str, Any],
    device: str | None,
) -> None:
    """Raise SettingsError for a generator that does not exist and options that are not its own."""
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.synthesis import CPU_GENERATORS

    names = [*CPU_GENERATORS, "diag"]
    if generator not in names:
        raise SettingsError(f"no generator {generator!r}; there are: {', '.join(names)}.")
    for option, value in for_diag.items():
        if value is not None and generator != "diag":
            raise SettingsError(f"{option} is for --generator diag; {generator} has no use for it.")
    for option, value in for_gates.items():
        if value is not None and not gate:
            raise SettingsError(f"{option} is for the gates. Add --gate, or leave it out.")
    if device is not None and generator != "diag" and not gate:
        raise SettingsError(
            f"--device is for diag and the gates; {generator} always runs on the CPU."
        )


def _propose(manifest: "Manifest", path: Path, overwrite: bool, as_json: bool) -> None:
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.synthesis.diag.prompt_proposals import write_proposal

    proposed = [prompt.positive for prompt in write_proposal(manifest, path, overwrite)]
    if as_json:
        print_json({"prompts": str(path), "proposed": proposed})
        return
    print(f"{path}: a first proposal, for you to improve:", *proposed, sep="\n  ")
    print(
        f"Next: patchcore-dual augment {manifest.folder} --generator diag --prompts {path} "
        "--pipeline FOLDER"
    )


def _prompts(preset: str | None, prompts: Path | None) -> "tuple[Prompt, ...]":
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.synthesis.diag.prompts import preset_prompts, read_prompts

    if preset is not None and prompts is not None:
        raise SettingsError("give --preset or --prompts, not both.")
    if preset is not None:
        return preset_prompts(preset)
    if prompts is not None:
        return read_prompts(prompts)
    raise SettingsError(
        "diag has to be told what to paint: --preset ksdd2, or --prompts FILE. A first proposal "
        "from your own defects is written by --propose-prompts FILE."
    )


def _diag(
    prompts: "Sequence[Prompt]",
    pipeline: str | None,
    device: str,
    offload: str,
    parameters: Mapping[str, Any],
    progress: "Progress",
) -> "list[Generator]":
    """A generator for each prompt; parameters that are None keep their defaults."""
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.synthesis.diag.diag import Diag, DiagParameters
    from patchcore_dual.synthesis.diag.pipeline import HOW_TO_DOWNLOAD, load_pipeline

    if pipeline is None:
        raise SettingsError(f"diag needs --pipeline FOLDER. {HOW_TO_DOWNLOAD}")
    chosen = DiagParameters(**{k: v for k, v in parameters.items() if v is not None})
    loaded = load_pipeline(pipeline, device, offload=offload)  # type: ignore[arg-type]
    return [Diag(loaded, prompt, chosen, progress) for prompt in prompts]


def _detector(backbone: str | None, weights: Path | None, device: str | None) -> "PatchCoreDual":
    from patchcore_dual.detector import PatchCoreDual

    settings = {"backbone": backbone} if backbone else {}
    return PatchCoreDual(weights=weights, device=device or "auto", **settings)
