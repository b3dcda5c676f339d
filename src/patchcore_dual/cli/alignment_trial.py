"""`prepare --align auto`: two preparations and two fits that say whether aligning pays."""

from pathlib import Path
from typing import Any, Literal

from patchcore_dual.cli.console import progress_bar
from patchcore_dual.data.manifest import MANIFEST_NAME
from patchcore_dual.data.prepare.aligning import AlignmentRule
from patchcore_dual.data.prepare.preparation import CONTENT, REMEDY, prepare
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.training.alignment_choice import AlignmentChoice, choose_alignment
from patchcore_dual.utils.staging import check_replaceable


def try_alignment(
    layout: str, source: Path, prepared: Path, overwrite: bool, options: dict[str, Any]
) -> AlignmentChoice:
    """Whether to align the parts of a data set.

    Args:
        layout, source, prepared, overwrite: as for `prepare`; the folder is not written.
        options: the others of `prepare`, with the rule to try as `align`.
    """
    check_replaceable(prepared, MANIFEST_NAME, CONTENT, overwrite, REMEDY)  # before the fits
    detector = PatchCoreDual()
    with progress_bar() as progress:

        def prepare_with(mode: Literal["none", "rigid"], folder: Path) -> None:
            rule = options["align"] if mode == "rigid" else AlignmentRule()
            prepare(layout, source, folder, **{**options, "align": rule, "progress": progress})

        return choose_alignment(prepare_with, detector.embedder, detector.settings, progress)
