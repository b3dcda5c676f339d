"""Gathering a data set: its images are read once, and all that is wrong with them said together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from patchcore_dual.data.bit_depth import find_bit_depth
from patchcore_dual.data.duplicates import DuplicateSet, find_exact_duplicates
from patchcore_dual.data.layouts.layout import RawSample, Source
from patchcore_dual.data.listing import printable
from patchcore_dual.data.prepare.placement import contradictions
from patchcore_dual.data.prepare.reading_notes import reading_notes
from patchcore_dual.data.prepare.scanning import (
    Scan,
    UnreadableError,
    bright_mask_notes,
    large_masks,
    scan,
)
from patchcore_dual.errors import DataError, together
from patchcore_dual.utils.progress import Progress


@dataclass(frozen=True)
class Gathered:
    """The readable images of a data set, measured.

    Attributes:
        scans: the readable images.
        skipped: what is wrong with the others, by name.
        copies: sets of exact copies among the readable images.
        bit_depth: how many bits of 16-bit files are used; None without such files.
    """

    scans: list[Scan]
    skipped: dict[str, str]
    copies: list[DuplicateSet]
    bit_depth: int | None

    @property
    def notes(self) -> list[str]:
        """Remarks on how the files were read, a sentence each."""
        return [
            *bright_mask_notes(self.scans),
            *large_masks(self.scans)[0],
            *reading_notes(self.scans, self.bit_depth),
        ]


def gather(
    found: Source, folder: Path, bit_depth: int | None, skip_unreadable: bool, progress: Progress
) -> Gathered:
    """Read every image and mask of a data set.

    Args:
        found: the data set.
        folder: where it lies.
        bit_depth: of its 16-bit files; None finds it from their values.
        skip_unreadable: leave unreadable files out, instead of raising.
        progress: called after each image.

    Raises:
        DataError: something is wrong with some files; one error for all of them.
    """
    if bit_depth is None:
        bit_depth = find_bit_depth(s.image for s in found.samples)
    scans, unreadable, problems = _scan_all(found.samples, folder, bit_depth, progress)
    copies = find_exact_duplicates([s.fingerprint for s in scans])
    problems += [*contradictions(scans, copies), *large_masks(scans)[1]]
    if unreadable and not skip_unreadable:
        hint = "Or leave it out" if len(unreadable) == 1 else "Or leave all unreadable files out"
        *others, last = unreadable.values()
        problems += [*others, UnreadableError(f"{last} {hint} with --skip-unreadable.")]
    if problems:
        raise together(problems)
    skipped = {name: str(error) for name, error in unreadable.items()}
    return Gathered(scans, skipped, copies, bit_depth)


def source_name(sample: RawSample, folder: Path) -> str:
    """The path of an image relative to its data set, as it is recorded and printed."""
    return printable(sample.image.relative_to(folder).as_posix())


def _scan_all(
    samples: Sequence[RawSample], folder: Path, bit_depth: int | None, progress: Progress
) -> tuple[list[Scan], dict[str, UnreadableError], list[DataError]]:
    """The scans, the errors of unreadable files by name, and all other errors."""
    scans: list[Scan] = []
    unreadable: dict[str, UnreadableError] = {}
    problems: list[DataError] = []
    for done, sample in enumerate(samples):
        progress("reading images", done, len(samples))
        name = source_name(sample, folder)
        try:
            scans.append(scan(sample, name, bit_depth))
        except UnreadableError as error:
            unreadable[name] = error
        except DataError as error:
            problems.append(error)
    progress("reading images", len(samples), len(samples))
    return scans, unreadable, problems
