"""`Manifest`: the samples of a prepared data set, kept in its `manifest.csv` (thesis 3.2)."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patchcore_dual.data.review import rejected
from patchcore_dual.data.sample import Label, Sample, Split
from patchcore_dual.data.schema import PREPARATION_NAME, SCHEMA_VERSION, bring_up_to_date
from patchcore_dual.data.table import read_csv, to_csv
from patchcore_dual.errors import DataError
from patchcore_dual.utils.files import write_atomically

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MANIFEST_NAME", "PREPARATION_NAME", "Label", "Manifest", "Sample", "Split"]

MANIFEST_NAME = "manifest.csv"


def _what_it_is(folder: Path) -> str:
    """What is wrong with a folder that has no manifest, and what to do."""
    if not folder.exists():
        return (
            "it does not exist. Check the path, or make one with: "
            f"patchcore-dual prepare folder PARTS {folder}"
        )
    if (folder / "model.json").is_file():
        return "it is a model. Is the order of the folders right? Name the folder of `prepare`."
    source = folder if any((folder / name).is_dir() for name in ("good", "Good")) else "PARTS"
    return (
        f"it has no {MANIFEST_NAME}. Make one with: patchcore-dual prepare folder {source} PREPARED"
    )


@dataclass(frozen=True)
class Manifest:
    """The samples of one prepared folder, in a fixed order.

    A manifest is immutable; `part`, `real`, `synthetic`, `where` and `at_size` return others of the
    same folder. It has a length and can be iterated over.

    Args:
        folder: the data-set folder, which the paths of its samples are relative to.
        samples: the samples.
        resized: width and height in pixels that images and masks are resized to when they are read;
            None reads them as they were prepared.
        roi: the region of interest of all images beside that of the folder, bool `[H, W]`.

    >>> from tempfile import TemporaryDirectory
    >>> temporary = TemporaryDirectory()
    >>> manifest = Manifest(
    ...     Path(temporary.name),
    ...     (
    ...         Sample("0.png", "", "negative", "train"),
    ...         Sample("1.png", "1_mask.png", "positive", "train", kind="crack"),
    ...         Sample("2.png", "", "negative", "test"),
    ...     ),
    ... )
    >>> manifest.save()
    >>> loaded = Manifest.load(temporary.name)
    >>> len(loaded), loaded == manifest
    (3, True)
    >>> [sample.image for sample in loaded.part("train", "negative")]
    ['0.png']
    >>> cracks = loaded.where(sample for sample in loaded if sample.kind == "crack")
    >>> cracks.mask_path(cracks.samples[0]).name
    '1_mask.png'
    >>> temporary.cleanup()
    """

    folder: Path
    samples: tuple[Sample, ...]
    resized: tuple[int, int] | None = None
    roi: "NDArray[np.bool_] | None" = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def part(self, split: Split | None = None, label: Label | None = None) -> "Manifest":
        """The samples of one split, of one label, or of both; None takes all."""
        return self.where(
            s for s in self.samples if split in (None, s.split) and label in (None, s.label)
        )

    def real(self) -> "Manifest":
        """The samples that are photographs of parts."""
        return self.where(s for s in self.samples if not s.is_synthetic)

    def synthetic(self) -> "Manifest":
        """The samples that a generator made."""
        return self.where(s for s in self.samples if s.is_synthetic)

    def where(self, samples: Iterable[Sample]) -> "Manifest":
        """The same folder with other samples."""
        return replace(self, samples=tuple(samples))

    def at_size(self, width: int, height: int) -> "Manifest":
        """The same samples, whose images and masks are resized to this size when they are read."""
        return replace(self, resized=(width, height))

    def within(self, roi: "NDArray[np.bool_] | None") -> "Manifest":
        """The same samples, of which a region alone is inspected."""
        return replace(self, roi=roi)

    def with_offspring(self, images: Collection[str]) -> set[str]:
        """The images named, and the synthetic ones that were made from any of them.

        Args:
            images: paths as in `Sample.image`.
        """
        children = self._children
        return {*images, *(child for image in images for child in children.get(image, ()))}

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        """By name of a parent, the synthetic images made from it."""
        children: dict[str, list[str]] = {}
        for sample in self.samples:
            for parent in sample.parents if sample.is_synthetic else ():
                children.setdefault(parent, []).append(sample.image)
        return children

    def image_path(self, sample: Sample) -> Path:
        """The path of a sample's image."""
        return self.folder / sample.image

    def mask_path(self, sample: Sample) -> Path | None:
        """The path of a sample's mask; None where it has none."""
        return self.folder / sample.mask if sample.mask else None

    # The pixels are read by functions that are imported here: listing samples loads no libraries.

    def read_image(self, sample: Sample) -> "NDArray[np.uint8]":
        """A sample's image, uint8 `[H, W, 3]`, at the size of `size`.

        Raises:
            ImageError: the file is missing or damaged.
        """
        from patchcore_dual.data.reading import read_image
        from patchcore_dual.data.resizing import resize_image

        image = read_image(self.image_path(sample))
        return resize_image(image, *self.resized) if self.resized else image

    def read_mask(self, sample: Sample) -> "NDArray[np.bool_]":
        """The mask of a sample that has one, bool `[H, W]`, True in defects, at that size too.

        Raises:
            ImageError: the file is missing or damaged.
        """
        from patchcore_dual.data.masks import read_prepared_mask
        from patchcore_dual.data.resizing import resize_mask

        mask = read_prepared_mask(self.folder / sample.mask)
        return resize_mask(mask, *self.resized) if self.resized else mask

    @cached_property
    def region(self) -> "NDArray[np.bool_] | None":
        """Where images are inspected: `roi`, within that of `prepare`, at the size of `size`.

        Bool `[H, W]`; None for everywhere.

        Raises:
            ImageError, DataError: the file of the folder is missing, damaged, or does not fit.
        """
        name = self.preparation().get("roi")
        if name is None and self.roi is None:
            return None
        from patchcore_dual.data.roi import in_both, read_roi, resize_region

        region = in_both(self.roi, read_roi(self.folder / name) if name else None)
        size = self.size()
        return resize_region(region, *size) if size and region is not None else region

    def region_of(self, sample: Sample) -> "NDArray[np.bool_] | None":
        """Where one image is inspected: its own region, of the column `roi`, within `region`."""
        name = sample.extra.get("roi")
        if not name:
            return self.region
        from patchcore_dual.data.roi import in_both, read_roi

        return in_both(self.region, read_roi(self.folder / name))

    def size(self) -> tuple[int, int] | None:
        """Width and height, in pixels, of every image as it is read.

        None where images kept their own sizes, or were not prepared by `prepare`.

        Raises:
            DataError: `preparation.json` is damaged.
        """
        if self.resized is not None:
            return self.resized
        text = self.preparation().get("size", "native")
        if text == "native":
            return None
        try:
            width, height = map(int, text.split("x"))
        except (ValueError, AttributeError):
            path = self.folder / PREPARATION_NAME
            raise DataError(f"{path} is damaged. Prepare the data set again.") from None
        return width, height

    @property
    def keeps_photographs(self) -> bool:
        """Whether the images have the size of the photographs, so that `fit` is to choose one."""
        return self.preparation().get("size_by") == "photographs"

    def preparation(self) -> dict[str, Any]:
        """The contents of `preparation.json`, which `prepare` wrote, in the present schema.

        If there is no such file, they are only the schema version.

        Raises:
            DataError: the file is damaged, or of a version that this program does not read.
        """
        path = self.folder / PREPARATION_NAME
        return bring_up_to_date(_read_preparation(path), path)

    def sha256(self) -> str:
        """Hex digest of the list of samples: equal for equal lists alone."""
        return hashlib.sha256(self._csv()).hexdigest()

    def save(self) -> None:
        """Write `manifest.csv` into the folder, whole or not at all.

        A folder of an older schema becomes one of the present schema.

        Raises:
            DataError: the folder cannot be written to, or is of a newer schema.
        """
        path = self.folder / PREPARATION_NAME
        up_to_date = self.preparation()
        if _read_preparation(path).get("schema_version") != SCHEMA_VERSION:
            text = json.dumps(up_to_date, indent=2, ensure_ascii=False) + "\n"
            write_atomically(path, text.encode())
        write_atomically(self.folder / MANIFEST_NAME, self._csv())

    def _csv(self) -> bytes:
        return to_csv(self.samples)

    @classmethod
    def load(cls, folder: Path | str, with_rejected: bool = False) -> "Manifest":
        """Read `manifest.csv` of a prepared folder.

        Args:
            folder: the data-set folder.
            with_rejected: also take the synthetic images that a person rejected (`review.py`).

        Raises:
            DataError: there is no manifest, it is damaged (with file and line), or the folder is
                of a schema that this program does not read.
        """
        folder = Path(folder)
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise DataError(f"{folder} is not a prepared data set: {_what_it_is(folder)}")
        cls(folder, ()).preparation()  # A newer schema is refused before its rows are read.
        samples = read_csv(path)
        _check_parents(samples, path)
        if not with_rejected:
            samples = _without_rejected(folder, samples)
        return cls(folder, samples)


def _read_preparation(path: Path) -> dict[str, Any]:
    """The JSON object in `preparation.json` as it is stored; empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise DataError(f"{path} is damaged. Prepare the data set again.")
    return stored


def _without_rejected(folder: Path, samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """The samples without the synthetic ones that the review lists of their runs reject."""
    left_out: set[str] = set()
    for run in {Path(s.image).parent for s in samples if s.is_synthetic}:
        if (folder / run).is_dir():
            left_out |= {(run / name).as_posix() for name in rejected(folder / run)}
    return tuple(s for s in samples if s.image not in left_out)


def _check_parents(samples: Sequence[Sample], path: Path) -> None:
    """A synthetic image shows its parents to training, so those must not be test images."""
    tested = {s.image for s in samples if s.split == "test"}
    for sample in samples:
        leaked = sorted(sample.parents & tested)
        if leaked and not sample.used_test_mask:
            raise DataError(
                f"{path}: {sample.image} was made from the test image {leaked[0]}. Prepare the "
                "data set again with this split, then run augment."
            )
