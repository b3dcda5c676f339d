"""The rows of a run in the manifest of the data set that it was made for."""

from collections.abc import Sequence
from pathlib import Path

from patchcore_dual.data.manifest import Manifest, Sample


def enrol(prepared: Path, run_folder: Path, rows: Sequence[Sample]) -> None:
    """Put `rows` in the place of all that `manifest.csv` has of a run, in one step."""
    # Read again: another run may have been added since this one began.
    manifest = Manifest.load(prepared, with_rejected=True)
    prefix = run_folder.resolve().relative_to(prepared.resolve()).as_posix() + "/"
    others = [s for s in manifest if not s.image.startswith(prefix)]
    before = [s for s in manifest if s.image.startswith(prefix)]
    if before != list(rows):
        manifest.where([*others, *rows]).save()
