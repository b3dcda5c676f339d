"""`Sample` and `Manifest`: the CSV metadata of a prepared data set (thesis 3.2)."""

import csv
import hashlib
import io
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from patchcore_dual.data.review import rejected
from patchcore_dual.errors import DataError
from patchcore_dual.utils.files import write_atomically

Label = Literal["positive", "negative"]
Split = Literal["train", "test"]

MANIFEST_NAME = "manifest.csv"
PREPARATION_NAME = "preparation.json"


@dataclass(frozen=True)
class Sample:
    """One prepared image.

    Paths are relative to the data-set folder, with forward slashes. `label` is "positive" for a
    defective part and "negative" for a good one. An empty `mask` on a positive sample means that
    where its defect lies is unknown. Samples of one `group` (a commutator, a tile) never lie on
    both sides of a split. `origin` is "real" or the name of the generator that made the image;
    `source` is the file it came from; `provenance` describes how a synthetic image was made.
    A synthetic image belongs to the groups of both its parents, "kos01+kos17".

    Raises DataError for a synthetic image in the test split: what is tested is real.
    """

    image: str
    mask: str
    label: Label
    split: Split
    kind: str = ""
    group: str = ""
    origin: str = "real"
    source: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.is_synthetic and self.split == "test":
            raise DataError(
                f"{self.image} was made by {self.origin} and is in the test split. Synthetic "
                "images are for training only: set its split to train, or remove its row."
            )

    @property
    def is_defective(self) -> bool:
        return self.label == "positive"

    @property
    def is_synthetic(self) -> bool:
        return self.origin != "real"

    @property
    def parents(self) -> frozenset[str]:
        """The images that a synthetic one was made from: a good one, and a defective one if any."""
        return frozenset(self.provenance.get("parents", ()))

    @property
    def used_test_mask(self) -> bool:
        """Whether it borrowed the mask of a test defect (`augment --allow-test-masks`)."""
        return bool(self.provenance.get("test_masks", False))

    @property
    def mask_is_known(self) -> bool:
        return bool(self.mask)


COLUMNS = tuple(f.name for f in fields(Sample))


@dataclass(frozen=True)
class Manifest:
    """The samples of one prepared folder, in a fixed order."""

    folder: Path
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def part(self, split: Split | None = None, label: Label | None = None) -> "Manifest":
        """The samples of one split and/or label."""
        return self.where(
            s for s in self.samples if split in (None, s.split) and label in (None, s.label)
        )

    def real(self) -> "Manifest":
        """The samples that are photographs of parts."""
        return self.where(s for s in self.samples if not s.is_synthetic)

    def synthetic(self) -> "Manifest":
        """The samples that a generator made."""
        return self.where(s for s in self.samples if s.is_synthetic)

    def with_offspring(self, images: Collection[str]) -> set[str]:
        """The images named, and the synthetic ones that were made from any of them."""
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

    def where(self, samples: Iterable[Sample]) -> "Manifest":
        """The same folder with other samples."""
        return Manifest(self.folder, tuple(samples))

    def image_path(self, sample: Sample) -> Path:
        return self.folder / sample.image

    def mask_path(self, sample: Sample) -> Path | None:
        return self.folder / sample.mask if sample.mask else None

    def size(self) -> tuple[int, int] | None:
        """Width and height that `prepare` gave every image; None where images kept their own."""
        preparation = self.preparation()
        if not preparation:
            return None
        try:
            text = preparation["size"]
            width, height = (None, None) if text == "native" else map(int, text.split("x"))
        except (ValueError, KeyError, TypeError, AttributeError):
            path = self.folder / PREPARATION_NAME
            raise DataError(f"{path} is damaged. Prepare the data set again.") from None
        return (width, height) if width and height else None

    def preparation(self) -> dict[str, Any]:
        """What `prepare` noted in `preparation.json`; empty where there is no such file."""
        path = self.folder / PREPARATION_NAME
        if not path.is_file():
            return {}
        try:
            noted = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            noted = None
        if not isinstance(noted, dict):
            raise DataError(f"{path} is damaged. Prepare the data set again.")
        return noted

    def sha256(self) -> str:
        """Hex digest that tells this list of samples from any other."""
        return hashlib.sha256(self._csv()).hexdigest()

    def save(self) -> None:
        """Write `manifest.csv` into the folder, whole or not at all."""
        write_atomically(self.folder / MANIFEST_NAME, self._csv())

    def _csv(self) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for s in self.samples:
            provenance = json.dumps(s.provenance, sort_keys=True) if s.provenance else ""
            writer.writerow([*(getattr(s, c) for c in COLUMNS[:-1]), provenance])
        return text.getvalue().encode()

    @classmethod
    def load(cls, folder: Path | str, with_rejected: bool = False) -> "Manifest":
        """Read `manifest.csv` of a prepared folder.

        Synthetic images that a person rejected (`review.py`) are left out, unless `with_rejected`.

        Raises DataError with file and line where a row is not what the columns promise.
        """
        folder = Path(folder)
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise DataError(
                f"{folder} is not a prepared data set: it has no {MANIFEST_NAME}. "
                "Make one with: patchcore-dual prepare LAYOUT SOURCE PREPARED"
            )
        try:
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.reader(file)
                header = next(reader, [])
                if tuple(header) != COLUMNS:
                    raise DataError(
                        f"{path}, line 1: the columns are {','.join(header) or 'missing'}; "
                        f"they have to be {','.join(COLUMNS)}. Prepare the data set again."
                    )
                samples = tuple(_read_row(row, path, reader.line_num) for row in reader)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} is damaged ({error}). Prepare the data set again.") from None
        if not samples:
            raise DataError(f"{path} lists no images. Prepare the data set again.")
        _check_parents(samples, path)
        if not with_rejected:
            samples = _accepted(folder, samples)
        return cls(folder, samples)


def _read_row(row: list[str], path: Path, line: int) -> Sample:
    where = f"{path}, line {line}"
    if len(row) != len(COLUMNS):
        raise DataError(f"{where}: {len(row)} values where {len(COLUMNS)} are expected.")
    values: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    if values["label"] not in ("positive", "negative"):
        raise DataError(f"{where}: label is {values['label']!r}; use positive or negative.")
    if values["split"] not in ("train", "test"):
        raise DataError(f"{where}: split is {values['split']!r}; use train or test.")
    for column in ("image", "mask"):
        parts = Path(values[column]).parts
        if Path(values[column]).is_absolute() or ".." in parts:
            raise DataError(f"{where}: {column} has to be a path inside the folder.")
    if not values["image"]:
        raise DataError(f"{where}: the image path is empty.")
    try:
        values["provenance"] = json.loads(values["provenance"] or "{}")
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: provenance is not JSON ({error}).") from None
    try:
        return Sample(**values)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _accepted(folder: Path, samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """The samples without the synthetic ones that the lists beside them reject."""
    gone: set[str] = set()
    for run in {Path(s.image).parent for s in samples if s.is_synthetic}:
        if (folder / run).is_dir():
            gone |= {(run / name).as_posix() for name in rejected(folder / run)}
    return tuple(s for s in samples if s.image not in gone)


def _check_parents(samples: Sequence[Sample], path: Path) -> None:
    """A synthetic image shows its parents to training: those must not be test images."""
    tested = {s.image for s in samples if s.split == "test"}
    for sample in samples:
        leaked = sorted(sample.parents & tested)
        if leaked and not sample.used_test_mask:
            raise DataError(
                f"{path}: {sample.image} was made from the test image {leaked[0]}. Prepare the "
                "data set again with this split, then run augment."
            )
