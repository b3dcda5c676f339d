"""Putting new files and rows into a prepared folder: all of them, or none."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from patchcore_dual.data.alignment import Aligner
from patchcore_dual.data.manifest import MANIFEST_NAME, PREPARATION_NAME, Manifest
from patchcore_dual.data.masks import read_prepared_mask
from patchcore_dual.data.prepare.comparison import Change
from patchcore_dual.data.prepare.writing import render, write_crops
from patchcore_dual.data.reading import write_png
from patchcore_dual.data.sample import Sample
from patchcore_dual.errors import DataError
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.locking import locked


def following(rows: Sequence[Sample], changes: Sequence[Change]) -> list[Sample]:
    """The rows of a manifest, with some of them changed."""
    after = {change.before.image: change.after for change in changes}
    return [after.get(row.image, row) for row in rows]


class Commit:
    """Puts new files in place, and undoes it all where that fails or is interrupted.

    A killed process leaves a folder that can be used and updated again: every row keeps the files
    that it names. New crops come before their mask, so that an update that was cut off between
    them finds the mask changed still, and a former mask is copied before the new one replaces it.

    Args:
        before: the manifest as it was read.
        staging: holds the files of new images, as they are to lie in the folder.
        aligner: what aligns the images of the folder; None where they are not aligned.
    """

    def __init__(self, before: Manifest, staging: Path, aligner: Aligner | None = None) -> None:
        self.aligner = aligner
        self.before, self.prepared = before, before.folder
        self.added, self.changed, self.dropped = staging, staging / "changed", staging / "dropped"
        self._moves: list[tuple[Path, Path]] = []

    def stage(self, change: Change, bit_depth: int | None) -> None:
        """Write the new mask and crops of a changed row."""
        row = change.after
        if not change.has_new_mask:
            return
        image, mask, _ = render(change.scan, self.before.size(), bit_depth, self.aligner)
        for path in (self.changed / row.mask, self.changed / row.split / "crops/0.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_png(self.changed / row.mask, mask)
        write_crops(self.changed, row.split, Path(row.image).stem, image, mask)

    def count_crops(self, changes: Sequence[Change]) -> int:
        """How many crops there will be, once all changes are staged."""

        def crops_in(folder: Path) -> set[Path]:
            return {path.relative_to(folder) for path in folder.glob("*/crops/*.png")}

        dropped = {
            path.relative_to(self.prepared)
            for change in changes
            if change.has_new_mask or change.loses_mask
            for path in self._crops(change.before)
        }
        kept = crops_in(self.prepared) - dropped
        return len(kept | crops_in(self.added) | crops_in(self.changed))

    def make(self, changes: Sequence[Change], added: Sequence[Sample], text: str) -> None:
        """Put the staged files and new rows in place; `text` is that of `preparation.json`."""
        manifest, facts = self.prepared / MANIFEST_NAME, self.prepared / PREPARATION_NAME
        with locked(manifest, "augment", "Then run the same command again.", wait=60):
            now = Manifest.load(self.prepared, with_rejected=True)
            if now.real().samples != self.before.real().samples:
                raise DataError(f"{manifest} was changed meanwhile. Run the same command again.")
            rows_before, facts_before = manifest.read_bytes(), facts.read_bytes()
            try:
                for change in changes:
                    self._put_aside(change)
                for folder in (self.added, self.changed):
                    for side in ("train", "test"):
                        for path in sorted((folder / side).rglob("*.png")):
                            self._move(path, self.prepared / path.relative_to(folder))
                write_atomically(facts, text.encode())
                real = following(now.real().samples, changes)
                now.where([*real, *added, *now.synthetic()]).save()
                for change in changes:
                    if change.loses_mask:
                        (self.prepared / change.before.mask).unlink()
            except BaseException as error:
                if manifest.read_bytes() == rows_before:
                    write_atomically(facts, facts_before)
                    for source, target in reversed(self._moves):
                        os.replace(target, source)
                elif isinstance(error, KeyboardInterrupt):
                    raise KeyboardInterrupt(f"{self.prepared} is updated and complete.") from None
                raise

    def _put_aside(self, change: Change) -> None:
        """Take former crops out of the folder, and copy a former mask to another name."""
        row = change.before
        if not change.has_new_mask and not change.loses_mask:
            return
        for crop in self._crops(row):
            self._move(crop, self.dropped / "crops" / crop.name)
        if not row.mask:
            return
        mask = self.prepared / row.mask
        previous, number = mask.with_name(f"{mask.stem}-previous.png"), 1
        while previous.exists():
            number += 1
            previous = mask.with_name(f"{mask.stem}-previous-{number}.png")
        is_empty = not read_prepared_mask(mask).any()
        copy = self.dropped / "masks" / mask.name if is_empty else previous
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(copy, mask.read_bytes())
        self._moves.append((mask, copy))  # to undo it, the copy takes the mask's place

    def _crops(self, row: Sample) -> list[Path]:
        folder, stem = self.prepared / row.split / "crops", Path(row.image).stem
        paths = (folder / f"{stem}-{number}.png" for number in itertools.count())
        return list(itertools.takewhile(Path.is_file, paths))

    def _move(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
        self._moves.append((source, target))
