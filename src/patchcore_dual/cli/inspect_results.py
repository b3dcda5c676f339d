"""`inspect --results`: any number of images into a folder of results, on one machine or many."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from patchcore_dual._version import __version__
from patchcore_dual.bulk.embeddings import (
    check,
    embedded_images,
    open_for_writing,
    what_made,
)
from patchcore_dual.bulk.inspection import Job, ShardResult
from patchcore_dual.bulk.plan import Plan, make_plan, read_plan
from patchcore_dual.bulk.run import inspect_all
from patchcore_dual.bulk.sources import images_by_model, images_of
from patchcore_dual.cli.console import console, print_json
from patchcore_dual.cli.inspect_summary import totals
from patchcore_dual.cluster.connection import open_executor
from patchcore_dual.data.results_folder import parts_done, read_part
from patchcore_dual.data.roi import read_roi
from patchcore_dual.errors import PatchCoreDualError, SettingsError
from patchcore_dual.model import load_model, read_fingerprint
from patchcore_dual.utils.dependencies import require
from patchcore_dual.utils.locking import locked
from patchcore_dual.utils.memory import UNLIMITED, parse_memory

_SHOWN = 20  # errors and notes that are printed; all are among the results
_LINE_EVERY = 60.0  # seconds, where there is no bar


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Attributes:
        model, sources: what inspects, and what is inspected; without a table.
        table: of images and their models.
        results: the folder.
        embedded: a folder of embeddings that are judged in place of images.
        embeddings, retry_errors, roi, ignore, maps, memory, ray, workers, strict, as_json: the
            options of these names.
    """

    model: Path | None
    sources: list[str]
    table: Path | None
    embedded: Path | None
    results: Path
    embeddings: Path | None
    retry_errors: bool
    roi: Path | None
    ignore: Path | None
    maps: bool
    memory: str | None
    ray: str | None
    workers: int | None
    strict: bool
    as_json: bool


def inspect_results(request: Request) -> int:
    """Inspect what is asked for, or what remains of it, and give the exit code.

    Returns:
        2 where images had errors, 1 as `strict` says, else 0.

    Raises:
        PatchCoreDualError: for whatever is wrong before, or ends it early.
    """
    require("--results", "pyarrow")
    _check(request)
    folder = request.results
    region = read_roi(request.roi, request.ignore)
    memory = UNLIMITED if request.memory is None else parse_memory(request.memory)
    if not folder.absolute().parent.is_dir():
        raise SettingsError(f"--results {folder}: there is no folder {folder.absolute().parent}.")
    with locked(folder, "inspection", "Or give another --results."):
        rows = images_by_model(request.table) if request.table else []
        named = {model for _, model in rows} or {os.path.abspath(str(request.model))}
        of = {model: read_fingerprint(Path(model)) for model in sorted(named)}
        settings = {
            "version": __version__,
            "model": sorted(set(of.values())),
            "source": _sources(request),
            "region of interest": None if region is None else _digest(region),
            "--maps": request.maps,
            "--embeddings": str(request.embeddings and request.embeddings.absolute()),
        }
        made_by = {}
        if request.embeddings or request.embedded:
            model = load_model(Path(*named))
            made_by = what_made(model, None if region is None else _digest(region))
        if request.embedded:
            check(request.embedded, made_by)
        plan = read_plan(folder, settings)
        if plan is None:
            plan = make_plan(folder, settings, _images(request, rows, of))
        del rows
        if request.embeddings:
            open_for_writing(request.embeddings, made_by, plan.images)
        run = _Run(plan, request)
        job = Job(
            {fingerprint: Path(model) for model, fingerprint in of.items()},
            *(region, request.maps, memory),
            *(one and one.absolute() for one in (request.embeddings, request.embedded)),
        )
        try:
            if run.n_before < plan.n_images:
                with open_executor(request.ray, request.workers) as executor, run.shown() as show:
                    for result in inspect_all(plan, job, executor, run.again):
                        run.add(result)
                        show()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{run.so_far()} The same command goes on from there."
            ) from None
        except PatchCoreDualError as error:
            raise type(error)(f"{error} {run.so_far()}") from None
    run.finish()
    if run.counts["error"]:
        return 2
    return 1 if request.strict and (run.counts["reject"] or run.counts["not inspected"]) else 0


def _check(request: Request) -> None:
    """Raise SettingsError unless it is said in one way what is inspected by what."""
    has_model, has_images = request.model is not None, bool(request.sources)
    if request.table:
        if has_model or request.embedded or request.embeddings:
            raise SettingsError("--models says which images and models. Give no others beside it.")
    elif not has_model:
        raise SettingsError("give a model folder and what it is to inspect, or --models TABLE.")
    elif has_images == bool(request.embedded):
        raise SettingsError("give images, or folders or lists of them, or else --from-embeddings.")
    if request.embedded and request.embeddings:
        raise SettingsError("--from-embeddings reads embeddings: leave --embeddings out.")


def _images(
    request: Request, rows: list[tuple[str, str]], of: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Each image with the fingerprint of its model."""
    if request.table:
        return ((image, of[model]) for image, model in rows)
    (fingerprint,) = of.values()
    if request.embedded:
        return ((name, fingerprint) for name in embedded_images(request.embedded))
    names, left_out = images_of(request.sources)
    for line in left_out:
        console.print(line, markup=False, soft_wrap=True)
    return ((name, fingerprint) for name in names)


def _digest(region: np.ndarray) -> str:
    return hashlib.sha256(f"{region.shape}".encode() + region.tobytes()).hexdigest()


def _sources(request: Request) -> list[str]:
    named = [str(one) for one in (request.table, request.embedded) if one] or request.sources
    return [name if "://" in name else os.path.abspath(name) for name in named]


class _Run:
    """The results so far: counted and shown."""

    def __init__(self, plan: Plan, request: Request) -> None:
        self.plan, self.as_json = plan, request.as_json
        self.counts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.distorted: list[str] = []
        self.n_distorted = self.n_now = 0
        self.begun = time.monotonic()
        self.again: set[int] = set()
        parts = parts_done(plan.folder)
        for number in parts:
            rows = read_part(plan.folder, number, ["verdict"])
            verdicts = [row["verdict"] or "error" for row in rows]
            if request.retry_errors and "error" in verdicts:
                self.again.add(number)
            else:
                self.counts.update(verdicts)
        if parts:
            console.print(
                f"{self.counts.total():,} of {plan.n_images:,} images are inspected already.",
                highlight=False,
            )
        self.n_before = self.counts.total()

    def add(self, result: ShardResult) -> None:
        self.n_now += result.counts.total()
        n_errors = self.counts["error"]
        self.counts.update(result.counts)
        self.notes.update(result.notes)
        self.n_distorted += len(result.distorted)
        self.distorted = (self.distorted + result.distorted)[:1]
        for error in result.errors[: max(0, _SHOWN - n_errors)]:
            console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)

    @property
    def rate(self) -> float:
        """Images a second, since this run began."""
        return self.n_now / max(time.monotonic() - self.begun, 1e-9)

    @contextmanager
    def shown(self) -> Iterator[Callable[[], None]]:
        """Show how far it has come: a bar, or a line now and then where there is no terminal."""
        columns = (
            *(TextColumn("inspect"), BarColumn(), MofNCompleteColumn()),
            *(TextColumn("{task.fields[rate]}"), TimeRemainingColumn()),
        )
        n_images, said = self.plan.n_images, time.monotonic()
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=n_images, completed=self.n_before, rate="")

            def show() -> None:
                nonlocal said
                done = self.n_before + self.n_now
                bar.update(task, completed=done, rate=self._rate_and_errors())
                if not console.is_terminal and time.monotonic() > said + _LINE_EVERY:
                    said = time.monotonic()
                    left = (n_images - done) / self.rate
                    console.print(
                        f"{done:,} of {n_images:,} images, {self._rate_and_errors()}, "
                        f"{left / 60:,.0f} min to go"
                    )

            yield show

    def _rate_and_errors(self) -> str:
        errors = f", {self.counts['error']:,} errors" if self.counts["error"] else ""
        return f"{self.rate:,.1f}/s{errors}"

    def so_far(self) -> str:
        return (
            f"{self.n_before + self.n_now:,} of {self.plan.n_images:,} images are inspected, and "
            f"their results kept in {self.plan.folder}."
        )

    def finish(self) -> None:
        """Print the end of a whole run."""
        seconds = time.monotonic() - self.begun
        if self.as_json:
            print_json(
                {
                    "results": str(self.plan.folder),
                    "images": self.plan.n_images,
                    "counts": dict(self.counts),
                    "inspected_now": self.n_now,
                    "seconds": round(seconds, 3),
                }
            )
            return
        for note, n in self.notes.most_common(_SHOWN):
            print(f"{n:,} images: {note}")
        if self.n_distorted:
            print(
                f"WARNING: {self.n_distorted:,} images, as {self.distorted[0]}, do not have the "
                "proportions of their model's. Unless the training images were distorted alike, "
                "their verdicts cannot be relied on: turn or crop them as those were."
            )
        print(totals(self.counts))
        if self.n_now:
            print(f"{self.n_now:,} images in {seconds:,.1f} s, {self.rate:,.1f} a second")
        print(f"Results: {self.plan.folder}")
