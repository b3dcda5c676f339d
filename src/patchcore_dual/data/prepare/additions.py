"""What was added to a prepared folder after `prepare`: overwriting it would delete that."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from patchcore_dual.data.layouts.layout import some
from patchcore_dual.data.manifest import MANIFEST_NAME, PREPARATION_NAME, Manifest
from patchcore_dual.data.prepare.aligning import REFERENCE_NAME
from patchcore_dual.data.review import ACCEPT_NAME, REJECT_NAME, read_list, run_images
from patchcore_dual.data.roi import ROI_NAME
from patchcore_dual.data.sample import Sample
from patchcore_dual.errors import DataError

SYNTHETIC = "synthetic"


class AdditionsError(DataError):
    """Overwriting a prepared folder would delete what was added to it."""


def check_nothing_lost(prepared: Path, sources: Collection[str]) -> None:
    """Check that overwriting a prepared folder deletes nothing but what `prepare` makes again.

    Args:
        prepared: the folder, which need not exist.
        sources: names of the images that it is prepared from anew.

    Raises:
        AdditionsError: it would delete something; the message names all of it.
    """
    if not (prepared / MANIFEST_NAME).is_file():
        return
    samples = _samples(prepared)
    lost = [*_additions(prepared, samples), *_from_elsewhere(samples, set(sources))]
    if lost:
        raise AdditionsError(
            f"Overwriting {prepared} would delete: {'; '.join(lost)}. To keep it and add new "
            "images, use --update in place of --overwrite. To delete it, say --overwrite "
            "--delete-additions."
        )


def _samples(prepared: Path) -> list[Sample]:
    try:
        return list(Manifest.load(prepared, with_rejected=True))
    except DataError:  # a damaged manifest may be overwritten
        return []


def _additions(prepared: Path, samples: Sequence[Sample]) -> Iterator[str]:
    """A phrase for what was added: synthetic sets, columns, other files."""
    runs = [r for r in sorted((prepared / SYNTHETIC).glob("*")) if r.is_dir() and run_images(r)]
    if runs:
        n_images = sum(len(run_images(run)) for run in runs)
        n_reviewed = sum(map(_n_reviewed, runs))
        reviewed = f", {n_reviewed} of them accepted or rejected by hand" if n_reviewed else ""
        names = some(f"{SYNTHETIC}/{run.name}" for run in runs)
        yield f"{n_images} synthetic images in {names}{reviewed}"
    columns = sorted({column for sample in samples for column in sample.extra})
    if columns:
        yield f"columns that were added to {MANIFEST_NAME}: {some(columns)}"
    others = sorted(_other_files(prepared, samples, runs))
    if others:
        yield f"{len(others)} files that `prepare` did not make: {some(others)}"


def _n_reviewed(run: Path) -> int:
    names: set[str] = set()
    for path in (run / ACCEPT_NAME, run / REJECT_NAME):
        if path.is_file():
            try:
                names |= read_list(path)
            except DataError:  # a damaged list is a review all the same
                names |= {f"{path.name} {line!r}" for line in path.read_bytes().splitlines()}
    return len(names)


def _other_files(prepared: Path, samples: Sequence[Sample], runs: Sequence[Path]) -> Iterator[str]:
    """Files in the folder that neither `prepare` nor `augment` made, relative to it."""
    real = [s for s in samples if s.source and not s.is_synthetic]
    made = {
        MANIFEST_NAME,
        PREPARATION_NAME,
        REFERENCE_NAME,
        ROI_NAME,
        *(s.image for s in real),
        *(s.mask for s in real),
    }
    stems = {Path(s.image).stem for s in real}
    for path in prepared.rglob("*"):
        name = path.relative_to(prepared).as_posix()
        if name in made or path.is_dir() or any(part[0] == "." for part in name.split("/")):
            continue
        if any(path.is_relative_to(run) for run in runs):
            continue
        crop = re.fullmatch(r"(?:train|test)/crops/(.*)-\d+\.png", name)
        # Without a readable manifest, what lies where `prepare` writes counts as made by it.
        is_usual = re.match(r"(train|test)/(negative|positive|masks|crops)/", name)
        if not (crop and crop[1] in stems) and not (is_usual and not samples):
            yield name


def _from_elsewhere(samples: Sequence[Sample], sources: set[str]) -> Iterator[str]:
    """A phrase if most images of the folder were not prepared from this source.

    A file that moved to another folder of the source, or got another suffix, is still there.
    """
    recorded = [s.source for s in samples if s.source and not s.is_synthetic]
    stems = {PurePosixPath(name).stem for name in sources}
    elsewhere = [name for name in recorded if PurePosixPath(name).stem not in stems]
    if 2 * len(elsewhere) > len(recorded):
        yield (
            f"{len(elsewhere)} of {len(recorded)} images whose files are not in this source, such "
            f"as {some(elsewhere, 3)}"
        )
