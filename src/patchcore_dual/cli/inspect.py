"""`patchcore-dual inspect`: verdicts, heat maps and regions for new images."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from patchcore_dual.cli.choices import AsJson, Device, Ignore, Ray, Roi, Workers
from patchcore_dual.errors import ImageError, PatchCoreDualError, SettingsError

if TYPE_CHECKING:
    from patchcore_dual.cli.inspect_summary import ResizedImages
    from patchcore_dual.evaluation.inspection_folder import InspectionFolder
    from patchcore_dual.live.watching import Watch
    from patchcore_dual.scoring import Inspection

_NOTES_SHOWN = 5
_MANY = "Many images"


def inspect(
    model: Annotated[
        Path | None,
        typer.Argument(help="A model folder that `fit` made.", show_default=False),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Image files, or folders of them; with --jsonl also -, for paths on standard "
            "input, one a line; with --results also lists of them (.txt, .csv), and URLs of object "
            "stores (s3://, gs://, ...).",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write a picture of each image with its heat map, and a page that shows all, into "
            "this folder: a new one, or that of an earlier inspection of these images."
        ),
    ] = None,
    full_size: Annotated[
        bool,
        typer.Option("--full-size", help="Pictures as large as the images, as PNG files."),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace an inspection of other images in --out."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where an image is rejected.")
    ] = False,
    roi: Roi = None,
    ignore: Ignore = None,
    device: Device = "auto",
    as_json: AsJson = False,
    as_lines: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help="Print one JSON object a line for each image, as soon as it is inspected; for "
            "any number of images.",
        ),
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Write the results of any number of images as Parquet files into this folder. The "
            "same command goes on where a former one was ended.",
            rich_help_panel=_MANY,
        ),
    ] = None,
    retry_errors: Annotated[
        bool,
        typer.Option(
            "--retry-errors",
            help="Inspect shards with errors again, as after a store could not be reached.",
            rich_help_panel=_MANY,
        ),
    ] = False,
    ray: Ray = None,
    workers: Workers = None,
    models: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="In place of MODEL and images: a CSV file with columns image,model.",
            rich_help_panel=_MANY,
        ),
    ] = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="Keep heat maps too.", rich_help_panel=_MANY)
    ] = False,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            help="Keep the patch features of the images in this folder, in half precision.",
            rich_help_panel=_MANY,
        ),
    ] = None,
    from_embeddings: Annotated[
        Path | None,
        typer.Option(
            help="In place of images: judge those whose features are in this folder, without the "
            "network.",
            rich_help_panel=_MANY,
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="What each worker may take, as 2GiB: models used least recently are dropped.",
            rich_help_panel=_MANY,
        ),
    ] = None,
) -> None:
    """Inspect images: pass, review or reject, where, and which known patch it resembles.

    A file that cannot be read is reported and the others follow; the exit code is then 2. A region
    of interest that the model was fitted with holds without an option; --roi can narrow it.

    Example: patchcore-dual inspect model new/ --out pictures
    """
    from patchcore_dual.cli.console import console
    from patchcore_dual.cli.inspect_summary import ResizedImages
    from patchcore_dual.data.inputs import InRegion
    from patchcore_dual.data.roi import read_roi
    from patchcore_dual.data.to_inspect import images_to_inspect
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.live.watching import Watch
    from patchcore_dual.utils.dependencies import missing

    if out is None and (full_size or overwrite):
        raise SettingsError("--full-size and --overwrite are for pictures. Add --out FOLDER.")
    if results is not None:
        if out is not None or as_lines:
            raise SettingsError("--results does without --out and --jsonl. Choose one of them.")
        if device == "cuda":
            raise SettingsError("--results inspects on CPUs. Leave --device out.")
        from patchcore_dual.cli.inspect_results import Request, inspect_results

        asked = Request(
            model=model,
            sources=images or [],
            table=models,
            embedded=from_embeddings,
            results=results,
            embeddings=embeddings,
            retry_errors=retry_errors,
            roi=roi,
            ignore=ignore,
            maps=maps,
            memory=memory,
            ray=ray,
            workers=workers,
            strict=strict,
            as_json=as_json,
        )
        raise typer.Exit(inspect_results(asked))
    of_results = {
        **{"--ray": ray, "--workers": workers, "--models": models, "--memory": memory},
        **{"--maps": maps, "--embeddings": embeddings, "--from-embeddings": from_embeddings},
        "--retry-errors": retry_errors,
    }
    if given := [name for name, value in of_results.items() if value]:
        raise SettingsError(f"{given[0]} goes with --results. Add --results FOLDER.")
    if model is None or not images:
        raise SettingsError("give a model folder, and images or folders of them.")
    named = [Path(image) for image in images]
    region = read_roi(roi, ignore)
    if as_lines:
        from patchcore_dual.cli.inspect_lines import inspect_lines

        if as_json or out is not None:
            raise SettingsError(
                "--jsonl prints each result and keeps none; --json and --out give all of them at "
                "the end. Choose one."
            )
        raise typer.Exit(inspect_lines(model, named, region, device=device, strict=strict))
    if Path("-") in named:
        raise SettingsError("- reads paths from standard input for --jsonl only. Add --jsonl.")
    paths, left_out = images_to_inspect(named)
    detector = PatchCoreDual.load(model, device=device)
    folder = None
    if out is not None:
        from patchcore_dual.evaluation.inspection_folder import InspectionFolder
        from patchcore_dual.evaluation.inspection_page import page_can_be_written

        folder = InspectionFolder(out, paths, full_size=full_size, overwrite=overwrite)
        if not page_can_be_written():
            console.print(f"Pictures will be written, but no page: {missing('jinja2', 'it')}")
    for line in left_out:
        console.print(line, markup=False, soft_wrap=True)
    resizing, watch = ResizedImages(detector.model.size), Watch(detector.model.drift)
    run = _Run(paths, folder, left_out, as_json, resizing, watch)
    try:
        in_region = [InRegion(path, region) for path in paths]
        inspections = detector.inspect_many(in_region, on_error="yield")
        for path in paths:
            run.add(path, next(inspections))  # kept by nothing: the next image needs the memory
    except KeyboardInterrupt:
        raise KeyboardInterrupt(run.after_ctrl_c()) from None
    finally:
        run.finish()
    if run.has_problems:
        raise typer.Exit(2)
    if strict and (run.counts["reject"] or run.counts["not inspected"]):
        raise typer.Exit(1)


class _Run:
    """The results so far: printed, drawn and counted."""

    def __init__(
        self,
        paths: list[Path],
        folder: "InspectionFolder | None",
        left_out: list[str],
        as_json: bool,
        resizing: "ResizedImages",
        watch: "Watch",
    ) -> None:
        self.resizing, self.watch = resizing, watch
        self.paths, self.folder, self.left_out, self.as_json = paths, folder, left_out, as_json
        self.results: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.has_problems = self.is_full = False

    def add(self, path: Path, result: "Inspection | ImageError") -> None:
        if isinstance(result, ImageError):
            self.counts["error"] += 1
            self.results.append({"path": str(path), "error": str(result)})
            self._report(result)
            return
        self.counts[result.verdict] += 1
        self.resizing.add(path, *result.image.shape[:2])
        how_read = "; ".join(n for n in result.note.split("; ") if not n.startswith("resized "))
        self.notes.update([how_read] if how_read else [])
        entry = {**result.to_json(), "drift": self.watch.add(result)}
        self.results.append(entry)
        if not self.as_json:
            print(replace(result, note=""), flush=True)
        if self.folder is not None:
            entry["picture"] = None
            if not self.is_full:
                try:
                    entry["picture"] = self.folder.write_picture(path, result)
                except (PatchCoreDualError, OSError) as error:
                    self.is_full = True
                    self._report(error)
                    self._report(
                        "no more pictures are written; the images are inspected all the same"
                    )

    def finish(self) -> None:
        """Write and print what there is, whatever ended the run."""
        page = None
        try:
            if self.folder is not None:
                page = self.folder.finish(self.results, dict(self.counts), self._is_complete)
        except (PatchCoreDualError, OSError) as error:
            self._report(error)
        finally:
            self._print(page)

    @property
    def _is_complete(self) -> bool:
        return len(self.results) == len(self.paths)

    @property
    def _counted(self) -> list[str]:
        rare = ["not inspected"] if self.counts["not inspected"] else []
        return ["pass", "review", "reject", *rare, "error"]

    def _print(self, page: Path | None) -> None:
        from patchcore_dual.cli.console import console, print_json
        from patchcore_dual.cli.inspect_summary import totals

        warning = self.resizing.warning(len(self.results))
        if self.as_json:
            if warning:
                console.print(warning, markup=False, soft_wrap=True)
            print_json(
                {
                    "results": self.results,
                    "counts": {k: self.counts[k] for k in self._counted},
                    "complete": self._is_complete,
                    "left_out": self.left_out,
                    "drift": self.watch.state(),
                    **({"page": str(page) if page else None} if self.folder else {}),
                }
            )
            return
        if resized := self.resizing.line(len(self.results)):
            print(resized)
        for note, n in self.notes.most_common(_NOTES_SHOWN):
            print(f"{n} of {len(self.results)} images: {note}")
        if len(self.notes) > _NOTES_SHOWN:
            print(f"{len(self.notes) - _NOTES_SHOWN} more such remarks, shown by --json")
        if warning:
            print(warning)
        print(totals(self.counts))
        for line in self.watch.lines():
            print(line)
        if self.folder is not None:
            print(f"Pictures: {page or self.folder.folder}")

    def after_ctrl_c(self) -> str:
        kept = f" Their pictures are in {self.folder.folder}." if self.folder else ""
        return (
            f"{len(self.results)} of {len(self.paths)} images were inspected.{kept} "
            "The same command begins anew."
        )

    def _report(self, problem: object) -> None:
        from patchcore_dual.cli.console import console

        self.has_problems = True
        console.print(f"error: {problem}", style="red", markup=False, soft_wrap=True)
