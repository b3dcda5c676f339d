"""`patchcore-dual study`: attribute measurement-system analysis of repeated photographs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from patchcore_dual.cli.choices import AsJson, Device

if TYPE_CHECKING:
    from patchcore_dual.evaluation.study.study import Study


def study(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made, or MODEL@3.")],
    images: Annotated[
        Path | None,
        typer.Argument(
            help="The folder of the photographs: good/PART/ and defect/PART/, each with a "
            "photograph for each trial; or, with --parts, what its images are relative to.",
            show_default="the folder of --parts",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Write the page and the tables into this new folder.", metavar="FOLDER"),
    ] = ...,  # type: ignore[assignment]
    parts: Annotated[
        Path | None,
        typer.Option(
            help="A CSV file with a line for each trial: columns image, part, reference (good or "
            "defect), and optionally trial, appraiser and verdict (pass, review or reject) for "
            "people or other models.",
            metavar="FILE",
        ),
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            help="Take the model's verdicts from what `inspect --jsonl` printed, and inspect "
            "nothing.",
            metavar="LOG",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Use the first so many trials of each part.",
            show_default="all, as many for each part",
        ),
    ] = None,
    review: Annotated[
        Literal["reject", "pass", "apart"],
        typer.Option(help="What the verdict review counts as."),
    ] = "reject",
    name: Annotated[
        str, typer.Option(help="The study's name.", show_default="the model's name")
    ] = "",
    by: Annotated[
        str | None,
        typer.Option(help="Who made the study.", show_default="the user of the system"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier study in --out.")
    ] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Study how repeatable and how right a model's verdicts are (AIAG MSA).

    Photograph each part several times, putting it in anew each time: 50 parts of
    both kinds, 3 times each. Gives repeatability, effectiveness, miss and
    false-alarm rate, kappa, all with 95 % intervals and against AIAG's limits,
    as a page to print and as CSV.

    Example: patchcore-dual study model repeats/ --out study
    """
    from patchcore_dual.cli.console import console, print_json, progress_bar
    from patchcore_dual.data.study_plan import MODEL, read_plan
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.evaluation.study.records import inspected, logged
    from patchcore_dual.evaluation.study.study import appraisers_of, check_plan, make_study
    from patchcore_dual.evaluation.study.writing import MARKER, write_study
    from patchcore_dual.utils.staging import check_replaceable

    check_replaceable(out, MARKER, "study", overwrite)
    plan = read_plan(parts, images)
    check_plan(plan, trials)
    detector = PatchCoreDual.load(model, device=device)
    if MODEL not in appraisers_of(plan):
        console.print(f"{parts} has no trials of the model, so it is a study of the others alone.")
    if verdicts is not None:
        records = logged(plan, verdicts, detector)
    else:
        with progress_bar() as progress:
            records = inspected(plan, detector, progress)
    result = make_study(plan, records, trials, review)
    facts = _facts(model, detector.fingerprint, by)
    title = name or f"Attribute study of {model.name}"
    values = {"name": title, **{k.lower(): v for k, v in facts.items()}, **result.to_json()}
    page = write_study(result, out, title, facts, values, overwrite=overwrite)
    if as_json:
        print_json({**values, "page": str(page)})
        return
    for line in _lines(result):
        print(line)
    for warning in result.warnings:
        console.print(f"WARNING: {warning}", markup=False, soft_wrap=True)
    print(f"Page: {page}")


def _facts(model: Path, fingerprint: str, by: str | None) -> dict[str, str]:
    """The head of the page."""
    from datetime import datetime

    from patchcore_dual._version import __version__
    from patchcore_dual.model.ledger import system_user
    from patchcore_dual.model.versions import history

    folder = model if model.is_dir() else Path(str(model).rpartition("@")[0])
    numbers = [v.number for v in history(folder).versions if v.fingerprint == fingerprint]
    return {
        "Date": datetime.now().strftime("%Y-%m-%d, %H:%M"),
        "By": by or system_user(),
        "Model": str(model),
        "Fingerprint": fingerprint,
        "Version": str(numbers[-1]) if numbers else "–",
        "Program": f"PatchCoreDual {__version__}",
    }


def _lines(study: "Study") -> list[str]:
    """The figures of each appraiser, for people."""
    from patchcore_dual.data.listing import printable
    from patchcore_dual.data.study_plan import MODEL
    from patchcore_dual.evaluation.study.attribute_study import LIMITS, Share, rating
    from patchcore_dual.evaluation.study.rows import interval_text, value_text

    figures = study.figures
    n_parts = figures.n_good + figures.n_defective
    lines = [
        f"{n_parts} parts ({figures.n_good} good, {figures.n_defective} defective), "
        f"{figures.n_trials} trials of each; review counts "
        f"{'apart' if study.review == 'apart' else f'as {study.review}'}"
    ]
    for a in figures.appraisers:
        lines.append("the model:" if a.name == MODEL else f"{printable(a.name)}:")
        rows = [("repeatability", a.repeatability, "")]
        rows += [
            (m, f, f"{rating(m, f.value)} (AIAG: {LIMITS[m][0]})")  # type: ignore[misc]
            for m, f in a.measures().items()
        ]
        for label, figure, grade in rows:
            n = f"{figure.hits} of {figure.n}" if isinstance(figure, Share) else ""
            span = f"95 % {interval_text(figure)}"
            lines.append(
                f"  {label:16} {value_text(figure):>7}  {n:>10}  {span:24} {grade}".rstrip()
            )
    disagreeing = study.disagreeing()
    if disagreeing:
        named = ", ".join(printable(study.parts[i]) for i in disagreeing[:10])
        more = f" and {len(disagreeing) - 10} more" if len(disagreeing) > 10 else ""
        lines.append(f"Parts not judged as the reference says every time: {named}{more}")
    return lines
